package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheActionIsFoundAsTheShimsFindIt(t *testing.T) {
	const flags = "-namespace k8s.io -address /run/c.sock -publish-binary /usr/bin/containerd -id web1 "
	full := call{namespace: "k8s.io", id: "web1", publishBinary: "/usr/bin/containerd"}
	with := func(action string) call { c := full; c.action = action; return c }
	tests := map[string]struct {
		args string
		want call
	}{
		"nothing":                       {"", call{}},
		"start of containerd 1.6":       {flags + "start", with("start")},
		"start with debug":              {flags + "-debug start", with("start")},
		"two hyphens and equals signs":  {"--namespace=k8s.io --id=web1 --publish-binary=/usr/bin/containerd start", with("start")},
		"delete with its bundle":        {flags + "-bundle /b delete", with("delete")},
		"flags behind the action":       {"start " + flags, with("start")},
		"info":                          {"-info", call{}},
		"version":                       {"-v", call{}},
		"a container named start":       {"-id start delete", call{action: "delete", id: "start"}},
		"a namespace named start":       {"-namespace start -info", call{namespace: "start"}},
		"serve, whatever follows":       {"serve --socket start start", call{action: "serve"}},
		"an unknown flag with a value":  {"-new value start -id a", call{action: "start", id: "a"}},
		"an unknown word before it":     {"word start", call{action: "start"}},
		"a flag that lacks its value":   {"start -id", call{action: "start"}},
		"an equals sign in the value":   {"-id a -publish-binary=/x=y start", call{action: "start", id: "a", publishBinary: "/x=y"}},
		"the last of duplicates counts": {"-id a -id b start", call{action: "start", id: "b"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := parseCall(strings.Fields(test.args))
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(call{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzNoStartIsOverlooked(f *testing.F) {
	f.Add("-namespace default -id a", "-debug")
	f.Add("--namespace=default", "-new\nvalue")
	f.Add("-id", "start")
	f.Fuzz(func(t *testing.T, before, after string) {
		words := strings.Split(before, "\n")
		args := slices.Concat(words, []string{"start"}, strings.Split(after, "\n"))
		c := parseCall(args)
		if c.action == "start" || slices.Contains(words, "delete") || slices.Contains(words, "serve") {
			return
		}
		// Only a flag that is known to take a value may have taken the word.
		if last := words[len(words)-1]; !strings.HasPrefix(last, "-") {
			t.Errorf("start overlooked in %q", args)
		}
	})
}
