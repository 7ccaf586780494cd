package oci

import (
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

const aDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestReferencesNameAnArtifact(t *testing.T) {
	for rest, want := range map[string]string{
		"registry.example/webapp01:1":               "registry.example/webapp01:1",
		"Registry.Example:5000/specs/webapp01:v1.0": "registry.example:5000/specs/webapp01:v1.0",
		"[::1]:5000/a/b/c:latest":                   "[::1]:5000/a/b/c:latest",
		"registry.example/webapp01@" + aDigest:      "registry.example/webapp01@" + aDigest,
		"registry.example/webapp01:1@" + aDigest:    "registry.example/webapp01@" + aDigest,
		"docker.io/contoso/webapp01:1":              "docker.io/contoso/webapp01:1",
	} {
		n, err := parse(credspec.Ref{Scheme: Scheme, Rest: rest})
		if err != nil || n.String() != want {
			t.Errorf("%s: %v, %v, want %s", rest, n, err, want)
		}
	}
}

func TestReferencesThatNameNoArtifactAreRefused(t *testing.T) {
	for _, rest := range []string{
		"", "registry.example", "registry.example/", "/webapp01:1",
		"registry.example/webapp01",  // neither tag nor digest
		"registry.example/webapp01:", // an empty tag
		"registry.example/WebApp01:1",
		"registry.example/../webapp01:1",
		"registry.example/webapp01/:1",
		"registry.example/webapp01:1/2",
		"registry.example/webapp01:" + strings.Repeat("a", 129),
		"registry.example/webapp01@" + strings.ToUpper(aDigest),
		"registry.example/webapp01@sha256:0",
		"registry.example/webapp01@md5:d41d8cd98f00b204e9800998ecf8427e",
		"registry.example/webapp01:/../x@" + aDigest, // a tag that nobody would look at
		"registry.example/webapp01@" + aDigest + "@" + aDigest,
		"robot:hunter2@registry.example/webapp01:1",
		"registry.example:port/webapp01:1",
	} {
		n, err := parse(credspec.Ref{Scheme: Scheme, Rest: rest})
		if err == nil {
			t.Errorf("%s is taken for %v", rest, n)
			continue
		}
		wantError(t, err, fault.ErrMalformed)
	}
}

func TestNamesOfThisHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:5000": true, "127.0.0.1": true, "127.8.9.1:80": true, "[::1]:5000": true, "[::1]": true,
		"localhost.example": false, "registry.example:5000": false, "10.0.0.1": false, "": false,
	} {
		if got := isLoopback(host); got != want {
			t.Errorf("isLoopback(%q) = %v", host, got)
		}
	}
}

func FuzzReference(f *testing.F) {
	f.Add("registry.example:5000/specs/webapp01:1")
	f.Add("registry.example/webapp01:1@" + aDigest)
	f.Add("[::1]/a@sha256:0")
	f.Fuzz(func(t *testing.T, rest string) {
		n, err := parse(credspec.Ref{Scheme: Scheme, Rest: rest})
		if err != nil {
			return
		}
		again, err := parse(credspec.Ref{Scheme: Scheme, Rest: n.String()})
		if err != nil || again != n {
			t.Errorf("%q is %v, and that is %v, %v", rest, n, again, err)
		}
		if strings.ContainsAny(n.String(), "?#% \\") || strings.Contains(n.String(), "..") && strings.Contains(n.Repository, "..") {
			t.Errorf("%q is %v", rest, n)
		}
	})
}
