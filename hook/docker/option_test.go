package docker

import (
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestParseOption(t *testing.T) {
	for value, want := range map[string]option{
		"file://webapp01.json":         {kindFile, "webapp01.json"},
		"FILE://team/webapp01.json":    {kindFile, "team/webapp01.json"},
		`file://team\.\webapp01.json`:  {kindFile, "team/webapp01.json"},
		`file://team\..\webapp01.json`: {kindFile, "webapp01.json"},
		"Registry://webapp01":          {kindRegistry, "webapp01"},
		`raw://{"a":"b://c"}`:          {kindRaw, `{"a":"b://c"}`},
	} {
		if got, err := parseOption([]string{value}); err != nil || got != want {
			t.Errorf("%s: %v, %v", value, got, err)
		}
	}
}

func TestParseOptionRefusesWhatLeadsElsewhere(t *testing.T) {
	for _, value := range []string{
		"file://", "file:///etc/passwd", `file://\x.json`, `file://C:\x.json`, "file://c:x.json", "file://..", "file://../x.json",
		`file://..\CredentialSpecsX\f.json`, `file://a/../../x.json`, "file://.", "file://a/..", "file://webapp01.json.", "file://webapp01.json ",
		"file://webapp01.json:stream", "file://webapp01.json::$DATA", "file://nul\x00.json", "file://a /x.json", "file://we*.json",
		`registry://a\b`, "registry://a/b", "registry://", "raw://", "config://x", "http://x", "x", "", "://x", " file://x.json",
	} {
		if got, err := parseOption([]string{value}); err == nil {
			t.Errorf("%q: %v", value, got)
		} else if !errors.Is(err, fault.ErrDenied) && !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%q: %v", value, err)
		}
	}
	if _, err := parseOption([]string{"file://a.json", "file://a.json"}); !errors.Is(err, fault.ErrMalformed) {
		t.Error(err)
	}
}

func TestParseCall(t *testing.T) {
	for line, want := range map[string]Call{
		"POST /containers/create":                                                  {Verb: Create},
		"POST /v1.41/containers/create?name=web":                                   {Verb: Create, Name: "web"},
		"POST /v1.41/containers/web/start":                                         {Verb: Start, Container: "web"},
		"POST /v1.41/containers/web/start?checkpoint=a":                            {Verb: Start, Container: "web"},
		"POST /containers/a/b/start":                                               {Verb: Start, Container: "a/b"},
		"POST /v1.41/containers/web/restart?t=5":                                   {Verb: Restart, Container: "web"},
		"POST /v1.41/containers/%77eb/star%74":                                     {Verb: Start, Container: "web"},
		"POST /v1.41/exec/web/start":                                               {},
		"POST /v1.41/containers/web/stop":                                          {},
		"POST /v1.41/containers/web/exec":                                          {},
		"POST /vx/containers/create":                                               {},
		"POST /v1.41/services/create":                                              {},
		"POST containers/create":                                                   {},
		"GET /containers/create":                                                   {},
		"DELETE /containers/web/start":                                             {},
		"POST /start":                                                              {},
		`POST /v1.41/build?securityopt=["CredentialSpec=file://a.json","label=x"]`: {Verb: Build, Options: []string{"file://a.json"}},
		`POST /build?securityopt=x&securityopt=["credentialspec=raw://{}"]`:        {Verb: Build, Options: []string{"raw://{}"}},
		"POST /v1.41/build?t=web":                                                  {Verb: Build},
	} {
		method, uri, _ := strings.Cut(line, " ")
		if diff := cmp.Diff(want, ParseCall(method, uri)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
}

func FuzzParseCall(f *testing.F) {
	for _, uri := range []string{"/containers/create", "/v1.41/containers/a/b/start?x=y", "/v1..2/containers/../containers/x/restart", "http://h/containers/create", "//containers/create", `/build?securityopt=["credentialspec=x"]`} {
		f.Add("POST", uri)
	}
	f.Fuzz(func(t *testing.T, method, uri string) {
		c := ParseCall(method, uri)
		if c.Verb != Other && !strings.EqualFold(method, "POST") {
			t.Errorf("%+v", c)
		}
	})
}

func FuzzParseOption(f *testing.F) {
	for _, v := range []string{"file://a.json", `file://..\x`, "registry://a", "raw://{}", `file://a\..\..\b`, "FILE://C:x"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		o, err := parseOption([]string{value})
		if err != nil {
			if !errors.Is(err, fault.ErrDenied) && !errors.Is(err, fault.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		if o.kind == kindFile {
			full := path.Join("/docker/CredentialSpecs", o.value)
			if !strings.HasPrefix(full, "/docker/CredentialSpecs/") || strings.ContainsAny(o.value, `\:`) {
				t.Errorf("%q leads to %s", value, full)
			}
		}
	})
}

func FuzzParseCreate(f *testing.F) {
	f.Add([]byte(`{"HostConfig":{"SecurityOpt":["credentialspec=file://x"]},"Labels":{"a":"b"}}`))
	f.Add([]byte(`{"hostconfig":null,"SecurityOpt":null}{`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if a, err := ParseCreate(body); err == nil && a.Asks() {
			_, _ = parseOption(a.Options)
		}
	})
}

func TestARootIsFoundInDaemonJSON(t *testing.T) {
	for data, want := range map[string]string{
		`{"data-root": "D:\\docker", "graph": "x"}`: `D:\docker`,
		`{"graph": "/old"}`:                         "/old",
		`{}`:                                        "",
		`{`:                                         "",
		`{"data-root": 1}`:                          "",
	} {
		if got := rootIn([]byte(data)); got != want {
			t.Errorf("%s: %q", data, got)
		}
	}
}
