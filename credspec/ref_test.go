package credspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

var hash = strings.Repeat("0123456789abcdef", 4)

func TestParseRefReadsEveryScheme(t *testing.T) {
	for s, want := range map[string]Ref{
		"file://webapp01.json":                          {"file", "webapp01.json", ""},
		"FILE://webapp01.json":                          {"file", "webapp01.json", ""},
		"  file://webapp01.json\n":                      {"file", "webapp01.json", ""},
		`file://team\a b.json`:                          {"file", "team/a b.json", ""},
		"file://a/../b.json":                            {"file", "b.json", ""},
		"file://a#b.json":                               {"file", "a#b.json", ""},
		"file://ü.json":                                 {"file", "ü.json", ""},
		"registry://webapp01":                           {"registry", "webapp01", ""},
		`registry://team\webapp01`:                      {"registry", `team\webapp01`, ""},
		"config://g8fblg9vvhrd9b6ybjt2mrp4v":            {"config", "g8fblg9vvhrd9b6ybjt2mrp4v", ""},
		"https://host/x.json?v=1":                       {"https", "host/x.json?v=1", ""},
		"http://127.0.0.1:8080/x.json":                  {"http", "127.0.0.1:8080/x.json", ""},
		"http://[::1]/x.json":                           {"http", "[::1]/x.json", ""},
		"http://localhost/x.json":                       {"http", "localhost/x.json", ""},
		"s3://bucket/key/x.json":                        {"s3", "bucket/key/x.json", ""},
		"ssm://spec":                                    {"ssm", "spec", ""},
		"arn:aws:s3:::bucket/key":                       {"s3", "arn:aws:s3:::bucket/key", ""},
		"ARN:AWS-CN:S3:::bucket/Key":                    {"s3", "arn:aws-cn:s3:::bucket/Key", ""},
		"s3://arn:aws:s3:::bucket/key":                  {"s3", "arn:aws:s3:::bucket/key", ""},
		"arn:aws:ssm:eu-west-1:1234:parameter/spec":     {"ssm", "arn:aws:ssm:eu-west-1:1234:parameter/spec", ""},
		"arn:aws-us-gov:ssm:x:1234:parameter/a/b":       {"ssm", "arn:aws-us-gov:ssm:x:1234:parameter/a/b", ""},
		"oci://registry.example/specs/webapp01:1":       {"oci", "registry.example/specs/webapp01:1", ""},
		"oci://registry.example/specs@sha256:" + hash:   {"oci", "registry.example/specs@sha256:" + hash, ""},
		"kubernetes://webapp01":                         {"kubernetes", "webapp01", ""},
		"gopher://hole":                                 {"gopher", "hole", ""},
		`raw://{"a":1}`:                                 {"raw", `{"a":1}`, ""},
		`Raw://{"a":1}` + pinMark + hash:                {"raw", `{"a":1}`, hash},
		`raw://{"a":"#sha256=no pin"}`:                  {"raw", `{"a":"#sha256=no pin"}`, ""},
		`raw://not json`:                                {"raw", `not json`, ""},
		` {"a":1} `:                                     {"raw", ` {"a":1} `, ""},
		"\ufeff{}":                                      {"raw", "\ufeff{}", ""},
		"{ no json":                                     {"raw", "{ no json", ""},
		"file://webapp01.json#sha256=" + hash:           {"file", "webapp01.json", hash},
		"s3://b/k#SHA256=x":                             {"s3", "b/k#SHA256=x", ""},
		"s3://b/k#sha256=" + strings.ToUpper(hash):      {"s3", "b/k", hash},
		"https://host/x#sha256=" + hash:                 {"https", "host/x", hash},
		"arn:aws:s3:::b/k#sha256=" + hash:               {"s3", "arn:aws:s3:::b/k", hash},
		"credentialspec=file://x.json":                  {"file", "x.json", ""},
		"CredentialSpec=raw://{}":                       {"raw", "{}", ""},
		"credentialspec:file://x.json":                  {"file", "x.json", ""},
		"credentialspecdomainless:arn:aws:s3:::b/k":     {"s3", "arn:aws:s3:::b/k", ""},
		"credentialspec:arn:aws:ssm:r:1:parameter/spec": {"ssm", "arn:aws:ssm:r:1:parameter/spec", ""},
		"credentialspec://x":                            {"credentialspec", "x", ""},
	} {
		got, err := ParseRef(s)
		if err != nil {
			t.Errorf("ParseRef(%q): %v", s, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParseRef(%q): %s", s, diff)
		}
	}
}

func TestParseRefSaysWhatIsWrong(t *testing.T) {
	for s, want := range map[string]string{
		"":                                         "is empty",
		" \t":                                      "is empty",
		"webapp01.json":                            "has no scheme; a file in a credential spec folder is file://NAME.json",
		`C:\specs\webapp01.json`:                   "has no scheme",
		"1://x":                                    "has a malformed scheme",
		"a b://x":                                  "has a malformed scheme",
		"file://":                                  "has nothing after file://",
		"credentialspec=":                          "is empty",
		"raw://":                                   "has nothing after raw://",
		"file:///etc/passwd":                       "is an absolute path",
		`file://\windows\win.ini`:                  "is an absolute path",
		"file://C:/x.json":                         "has a colon in its path",
		"file://x.json:stream":                     "has a colon in its path",
		"file://../x.json":                         "climbs out of the credential spec folders",
		`file://a\..\..\x.json`:                    "climbs out of the credential spec folders",
		"file://..":                                "climbs out of the credential spec folders",
		"file://.":                                 "names no file",
		"file://a/..":                              "names no file",
		"file://x.json./y":                         "ends in a dot or a blank",
		"file://x\x00.json":                        "has control character 0x00 at offset 8",
		"registry://a\nb":                          "has control character 0x0a",
		"file://\xff":                              "is not UTF-8",
		"file://" + strings.Repeat("x", MaxRef):    "is longer than 4096 bytes",
		"{" + strings.Repeat(" ", MaxSize):         "is a document longer than 1048576 bytes",
		"file://x#sha256=abc":                      "has a pin that is not #sha256= and 64 hexadecimal digits",
		"raw://{}#sha256=" + hash + "0":            "has a pin that is not #sha256= and 64 hexadecimal digits",
		"https:///x":                               "names no host",
		"https://host:port/x":                      "is not a URL",
		"https://user:pass@host/x":                 "has a user in it",
		"https://host/x#top":                       "has a fragment",
		"http://host/x":                            "is plain http to another host; use https",
		"s3://bucket":                              "is not s3://BUCKET/KEY",
		"s3:///key":                                "is not s3://BUCKET/KEY",
		"s3://arn:aws:ssm:r:1:parameter/x":         "has scheme s3 and an ARN of ssm",
		"oci://registry":                           "is not oci://REGISTRY/REPOSITORY:TAG",
		"kubernetes://ns/name":                     "is not kubernetes://NAME",
		"kubernetes://-x":                          "is not kubernetes://NAME",
		"arn:aws:s3":                               "is not an ARN of six parts",
		"arn:other:s3:::b/k":                       "is an ARN of no AWS partition",
		"arn:aws:s3:::bucket":                      "is not arn:aws:s3:::BUCKET/KEY",
		"arn:aws:ssm:::parameter/x":                "is not arn:aws:ssm:REGION:ACCOUNT:parameter/NAME",
		"arn:aws:secretsmanager:r:1:secret:x":      "is an ARN of a secret",
		"arn:aws:iam::1:role/x":                    `is an ARN of service "iam"`,
		`'{"CmsPlugins":["ActiveDirectory"]}'`:     "of 36 bytes: has no scheme",
		"credentialspec=credentialspec=file://x":   "has a malformed scheme",
		"credentialspec:credentialspecfile:://x.y": "has a malformed scheme",
	} {
		ref, err := ParseRef(s)
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRef(%.80q) = %v, %v; want an error with %q", s, ref, err, want)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("ParseRef(%.80q): an error of %d bytes", s, len(err.Error()))
		}
	}
}

func TestParseRefErrorsRepeatNoCredential(t *testing.T) {
	for _, s := range []string{
		"https://user:canary@host:port/x", "https://canary@/x", `'{"PluginInput":"canary"}'`, "raw://canary" + strings.Repeat("x", MaxSize),
		"foo://x/\x00?sig=canary", `[{"PluginInput":"canary"}]`, "https://host:x/y?sig=canary", "raw://x#sha256=canary",
	} {
		if _, err := ParseRef(s); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("ParseRef(%.60q): %v", s, err)
		}
	}
}

func TestRefStringReadsBack(t *testing.T) {
	for _, s := range []string{
		"file://a b/c.json", "registry://webapp01", "s3://b/k", "arn:aws:s3:::b/k", "arn:aws:ssm:r:1:parameter/x",
		"oci://r/x@sha256:" + hash, "https://host/x/flag", "file://x.json#sha256=" + hash, "kubernetes://x", "gopher://hole",
	} {
		ref, err := ParseRef(s)
		if err != nil {
			t.Fatal(err)
		}
		if ref.String() != s {
			t.Errorf("%q prints as %q", s, ref)
		}
	}
}

func TestRefNeverPrintsADocumentOrACredential(t *testing.T) {
	for _, ref := range []Ref{
		{Scheme: "raw", Rest: `{"PluginInput":"canary"}`},
		{Scheme: "https", Rest: "user:canary@host/x?sig=canary&a=canary#f"},
		{Scheme: "https", Rest: "canary@host"},
		{Scheme: "oci", Rest: "canary@host/x"},
		{Scheme: "unknown", Rest: "canary@host/x?y=canary"},
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "ref", ref, "in", struct{ R Ref }{ref})
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "ref", ref, "in", struct{ R *Ref }{&ref})
		asJSON, err := json.Marshal(map[string]any{"ref": ref, "refs": []*Ref{&ref}})
		if err != nil {
			t.Fatal(err)
		}
		printed := log.String() + string(asJSON)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%10.3s", "%T"} {
			printed += fmt.Sprintf(verb, ref) + fmt.Sprintf(verb, &ref) + fmt.Sprintf(verb, []Ref{ref}) + fmt.Sprintf(verb, struct{ R any }{ref})
		}
		if strings.Contains(printed, "canary") || strings.Contains(printed, fmt.Sprintf("%x", "canary")) {
			t.Errorf("%v prints too much: %s", ref, printed)
		}
	}
	if got := (Ref{Scheme: "https", Rest: "u:p@host/x?a=1&b"}).String(); got != "https://host/x?a=***&***" {
		t.Error(got)
	}
	if got := (Ref{}).String(); got != "" {
		t.Errorf("the zero Ref prints as %q", got)
	}
}

// What ParseRef accepts is within its bounds, and its String is accepted again
// and says the same.
func FuzzParseRef(f *testing.F) {
	for _, s := range []string{
		"file://webapp01.json", `file://a\b.json`, "credentialspec=raw://{}", "credentialspecdomainless:arn:aws:s3:::b/k#sha256=" + hash,
		"https://u:p@h/x?y=z", "oci://r/x@sha256:0", "kubernetes://x", " {}", "ssm://arn:aws:ssm:r:1:parameter/x", "http://[::1]/",
		"file://a /../b", "registry://\u00a0x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseRef(s)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Fatalf("error %v has no kind", err)
			}
			return
		}
		if ref.Scheme == "" || ref.Rest == "" {
			t.Fatalf("ParseRef(%q) = %#v is not whole", s, ref)
		}
		if ref.Scheme == SchemeRaw {
			return
		}
		if len(ref.Rest) > MaxRef || strings.ContainsRune(ref.Rest, 0) {
			t.Fatalf("ParseRef(%q) is not bounded", s)
		}
		if ref.Scheme == "file" {
			if strings.HasPrefix(ref.Rest, "/") || strings.HasPrefix(ref.Rest, "..") && (len(ref.Rest) == 2 || ref.Rest[2] == '/') || strings.ContainsAny(ref.Rest, `:\`) {
				t.Fatalf("ParseRef(%q) leaves the folder: %q", s, ref.Rest)
			}
		}
		printed := ref.String()
		again, err := ParseRef(printed)
		if schemes[ref.Scheme].names {
			if err != nil || again != ref {
				t.Fatalf("ParseRef(%q) = %+v; its text %q reads as %+v, %v", s, ref, printed, again, err)
			}
		}
	})
}
