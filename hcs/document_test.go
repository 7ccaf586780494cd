package hcs

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// What hcsshim sends for a process-isolated container, for one in a utility
// VM, for the utility VM itself, and for a container on a Windows before
// schema 2.1. SPEC stands where the credential spec goes.
const (
	argonV2 = `{"Owner":"containerd-shim-runhcs-v1.exe","SchemaVersion":{"Major":2,"Minor":1},"Container":{"GuestOs":{"HostName":"web01"},` +
		`"Storage":{"Layers":[{"Id":"b8d4a31a-5f4b-5a0c-9f0f-0f8f0f1f2f3f","Path":"C:\\layers\\base"}],"Path":"\\\\?\\Volume{11111111-2222-3333-4444-555555555555}\\"},` +
		`"Memory":{"SizeInMB":512},"Networking":{"AllowUnqualifiedDnsQuery":true},` +
		`"ContainerCredentialGuard":{"Cookie":"fakecookie0","RpcEndpoint":"fakeendpoint0","Transport":"LRPC","CredentialSpec":"SPEC"},` +
		`"RegistryChanges":{"AddValues":[{"Key":{"Hive":"System","Name":"ControlSet001\\Control"},"Name":"x","Type":"DWord","DWordValue":30000}]}},` +
		`"ShouldTerminateOnLastHandleClosed":true}`
	xenonV2 = `{"Owner":"containerd-shim-runhcs-v1.exe","SchemaVersion":{"Major":2,"Minor":1},"HostingSystemId":"c1@vm","HostedSystem":{"SchemaVersion":{"Major":2,"Minor":1},` +
		`"Container":{"Storage":{"Path":"C:\\c\\1"},"ContainerCredentialGuard":{"Cookie":"fakecookie0","RpcEndpoint":"fakeendpoint0","Transport":"HvSocket","CredentialSpec":"SPEC"}}},` +
		`"ShouldTerminateOnLastHandleClosed":true}`
	vmV2    = `{"Owner":"containerd-shim-runhcs-v1.exe","SchemaVersion":{"Major":2,"Minor":1},"VirtualMachine":{"StopOnReset":true},"ShouldTerminateOnLastHandleClosed":true}`
	argonV1 = `{"SystemType":"Container","Name":"web01","Owner":"containerd-shim-runhcs-v1.exe","VolumePath":"\\\\?\\Volume{11111111-2222-3333-4444-555555555555}",` +
		`"IgnoreFlushesDuringBoot":true,"LayerFolderPath":"C:\\layers\\scratch","Layers":[{"ID":"b8d4a31a-5f4b-5a0c-9f0f-0f8f0f1f2f3f","Path":"C:\\layers\\base"}],` +
		`"Credentials":"SPEC","HostName":"web01","MappedDirectories":[],"HvPartition":false,"EndpointList":[],"TerminateOnLastHandleClosed":true}`

	spec     = `{"CmsPlugins":["ActiveDirectory"],"Ü":"\\<&>"}`
	specJSON = `{\"CmsPlugins\":[\"ActiveDirectory\"],\"Ü\":\"\\\\<&>\"}` // in a JSON string
	// the same as encoding/json, and so hcsshim, writes it
	specEscaped = `{\"CmsPlugins\":[\"ActiveDirectory\"],\"Ü\":\"\\\\\u003c\u0026\u003e\"}`
)

func with(doc, text string) []byte { return []byte(strings.ReplaceAll(doc, "SPEC", text)) }

func TestExtractFindsTheCredentialSpecWhereHCSShimPutsIt(t *testing.T) {
	for name, doc := range map[string]string{"argon v2": argonV2, "xenon v2": xenonV2, "argon v1": argonV1} {
		for _, text := range []string{specJSON, specEscaped} {
			got, ok, err := Extract(with(doc, text))
			if err != nil || !ok || got.Reveal() != spec {
				t.Errorf("%s: %q, %v, %v", name, got.Reveal(), ok, err)
			}
		}
	}
	for _, doc := range []string{vmV2, `{"SystemType":"Container"}`, `{"SchemaVersion":{"Major":2,"Minor":1},"Container":{}}`, `{"SystemType":"Container","Credentials":null}`} {
		if got, ok, err := Extract([]byte(doc)); err != nil || ok || !got.IsZero() {
			t.Errorf("%s: %q, %v, %v", doc, got.Reveal(), ok, err)
		}
	}
}

func TestExtractV2ReadsTheWholeState(t *testing.T) {
	for _, doc := range []string{argonV2, xenonV2} {
		got, ok, err := ExtractV2(with(doc, specJSON))
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		want := ContainerCredentialGuardState{
			Cookie: NewOpaque("fakecookie0"), RpcEndpoint: "fakeendpoint0", Transport: TransportLRPC, CredentialSpec: NewOpaque(spec),
		}
		if doc == xenonV2 {
			want.Transport = TransportHvSocket
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestInjectChangesNothingElse(t *testing.T) {
	state := ContainerCredentialGuardState{
		Cookie: NewOpaque("fakecookie0"), RpcEndpoint: "fakeendpoint0", Transport: TransportLRPC, CredentialSpec: NewOpaque(spec),
	}
	stateJSON := `{"Cookie":"fakecookie0","RpcEndpoint":"fakeendpoint0","Transport":"LRPC","CredentialSpec":"` + specJSON + `"}`
	for name, tt := range map[string]struct{ doc, want string }{
		"replaced":      {string(with(argonV2, "old")), string(with(argonV2, specJSON))},
		"hosted":        {string(with(strings.Replace(xenonV2, "HvSocket", "LRPC", 1), "old")), string(with(strings.Replace(xenonV2, "HvSocket", "LRPC", 1), specJSON))},
		"added":         {`{"Container": { "A" :1.0 } , "z":[]}`, `{"Container": { "A" :1.0,"ContainerCredentialGuard":` + stateJSON + ` } , "z":[]}`},
		"in place":      {`{"Container":{"ContainerCredentialGuard":null,"b":"\u0041"}}`, `{"Container":{"ContainerCredentialGuard":` + stateJSON + `,"b":"\u0041"}}`},
		"unknown stays": {`{"Container":{"ContainerCredentialGuard":{"New":{"x":1e1}, "Cookie":"o"}}}`, `{"Container":{"ContainerCredentialGuard":{"New":{"x":1e1}, "Cookie":"fakecookie0",` + stateJSON[len(`{"Cookie":"fakecookie0",`):] + `}}`},
	} {
		got, err := InjectV2([]byte(tt.doc), state)
		if err != nil || string(got) != tt.want {
			t.Errorf("v2 %s: %v\n got %s\nwant %s", name, err, got, tt.want)
		}
	}
	for doc, want := range map[string]string{
		string(with(argonV1, "old")): string(with(argonV1, specJSON)),
		`{ "a" : 1e0 }`:              `{ "a" : 1e0,"Credentials":"` + specJSON + `" }`,
	} {
		got, err := InjectV1([]byte(doc), NewOpaque(spec))
		if err != nil || string(got) != want {
			t.Errorf("v1: %v\n got %s\nwant %s", err, got, want)
		}
	}
}

func TestDocumentsOfAnotherShapeAreMalformed(t *testing.T) {
	state := ContainerCredentialGuardState{Cookie: NewOpaque("canary"), CredentialSpec: NewOpaque("canary")}
	for doc, want := range map[string]string{
		``:                 "v2 document: offset 0: the document ends",
		`[]`:               "v2 document is an array and should be an object",
		`{}`:               "v2 document has no container",
		`{"Container":1}`:  "v2 document: /Container is a number and should be an object",
		`{"container":{}}`: `v2 document has no one meaning: member "container" differs from "Container" only in case`,
		`{"Container":{},"HostedSystem":{"Container":{}}}`:                            "v2 document has two containers",
		`{"HostedSystem":{}}`:                                                         "v2 document has no container",
		`{"HostedSystem":[]}`:                                                         "v2 document: /HostedSystem is an array",
		`{"Container":{"ContainerCredentialGuard":"x"}}`:                              "v2 document: /Container/ContainerCredentialGuard is a string",
		`{"Container":{"ContainerCredentialGuard":{},"ContainerCredentialGuard":{}}}`: "v2 document: /Container has no one meaning",
		`{"Container":{"ContainerCredentialGuard":{"Cookie":"canary","cookie":"o"}}}`: "v2 document: /Container/ContainerCredentialGuard has no one meaning",
	} {
		_, err := InjectV2([]byte(doc), state)
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("InjectV2(%s): %v, want %q", doc, err, want)
		}
		if _, _, err := ExtractV2([]byte(doc)); !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("ExtractV2(%s): %v, want %q", doc, err, want)
		}
	}
	for doc, want := range map[string]string{
		`{"Credentials":{}}`:  "v1 document: /Credentials is an object and should be a string",
		`{"credentials":"x"}`: "v1 document has no one meaning",
		`null`:                "v1 document is null and should be an object",
	} {
		if _, _, err := ExtractV1([]byte(doc)); !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("ExtractV1(%s): %v, want %q", doc, err, want)
		}
	}
	for doc, want := range map[string]string{
		`{"SchemaVersion":1}`:                     "document: /SchemaVersion is a number",
		`{"SchemaVersion":{}}`:                    "document has no container",
		`{"SchemaVersion":{},"VirtualMachine":1}`: "document: /VirtualMachine is a number",
	} {
		if _, _, err := Extract([]byte(doc)); !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("Extract(%s): %v, want %q", doc, err, want)
		}
	}
	for _, s := range []string{"", "\xff"} {
		if _, err := InjectV1([]byte(`{}`), NewOpaque(s)); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("InjectV1 of %q: %v", s, err)
		}
	}
	if _, err := InjectV2([]byte(`{"Container":{}}`), ContainerCredentialGuardState{Cookie: NewOpaque("\xff")}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("InjectV2 of a cookie that is not UTF-8: %v", err)
	}
}

// What is injected is extracted again, and injecting it again changes nothing.
func FuzzInject(f *testing.F) {
	for _, doc := range []string{argonV2, xenonV2, vmV2, argonV1, `{}`, `{"Container":{}}`, `{"Container":{"ContainerCredentialGuard":null}}`, `{"HostedSystem":{"Container":{"a":[]}}}`} {
		f.Add(with(doc, specJSON), spec, "cookie")
	}
	f.Fuzz(func(t *testing.T, doc []byte, spec, cookie string) {
		if _, _, err := Extract(doc); err != nil && !errors.Is(err, fault.ErrMalformed) {
			t.Fatalf("error %v has no kind", err)
		}
		if out, err := InjectV1(doc, NewOpaque(spec)); err == nil {
			got, ok, err := ExtractV1(out)
			if err != nil || !ok || got.Reveal() != spec {
				t.Fatalf("v1: %q became %q, %v, %v", spec, got.Reveal(), ok, err)
			}
			if twice, err := InjectV1(out, NewOpaque(spec)); err != nil || string(twice) != string(out) {
				t.Fatalf("v1: injecting again changes the document (%v)", err)
			}
		}
		if spec == "" || cookie == "" {
			return // empty members leave what was there
		}
		state := ContainerCredentialGuardState{Cookie: NewOpaque(cookie), RpcEndpoint: "e", Transport: TransportHvSocket, CredentialSpec: NewOpaque(spec)}
		if out, err := InjectV2(doc, state); err == nil {
			got, ok, err := ExtractV2(out)
			if err != nil || !ok {
				t.Fatalf("v2: %v, %v", ok, err)
			}
			if diff := cmp.Diff(state, got); diff != "" {
				t.Fatal(diff)
			}
			if twice, err := InjectV2(out, state); err != nil || string(twice) != string(out) {
				t.Fatalf("v2: injecting again changes the document (%v)", err)
			}
		}
	})
}
