package credspec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// edited is the faultless document with replacements: old, new, old, new, ….
func edited(t testing.TB, oldnew ...string) string {
	t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(credspectest.Document, oldnew[i]) {
			t.Fatalf("the document has no %q", oldnew[i])
		}
	}
	return strings.NewReplacer(oldnew...).Replace(credspectest.Document)
}

func wholeSpec() *credspec.Spec {
	return &credspec.Spec{
		CmsPlugins: []string{"ActiveDirectory"},
		DomainJoinConfig: credspec.DomainJoinConfig{
			Sid:                "S-1-5-21-2126449477-2524075714-3094792973",
			MachineAccountName: "webapp01",
			Guid:               "244818ae-87ac-4fcd-92ec-e79e5252348a",
			DnsTreeName:        "contoso.com",
			DnsName:            "contoso.com",
			NetBiosName:        "CONTOSO",
		},
		ActiveDirectoryConfig: credspec.ActiveDirectoryConfig{
			GroupManagedServiceAccounts: []credspec.Account{{Name: "webapp01", Scope: "contoso.com"}, {Name: "webapp01", Scope: "CONTOSO"}},
			HostAccountConfig: &credspec.HostAccountConfig{
				PortableCcgVersion: "1", PluginGUID: credspec.PluginGUID, PluginInput: "local://contoso",
			},
		},
	}
}

func TestParseReadsTheWholeDocument(t *testing.T) {
	got, err := credspec.Parse([]byte(credspectest.Document))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wholeSpec(), got); diff != "" {
		t.Error(diff)
	}
}

func TestParseKeepsWhatItDoesNotKnow(t *testing.T) {
	doc := edited(t,
		`"CmsPlugins":`, `"x-note": { "b":1.50, "a":[] }, "CmsPlugins":`,
		`"Scope": "CONTOSO"`, `"Scope": "CONTOSO", "Ru/le": "\u0061"`,
		`"PluginInput":`, `"More": null, "PluginInput":`)
	got, err := credspec.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	want := wholeSpec()
	want.Unknown = []credspec.Field{
		{Path: "/x-note", JSON: []byte(`{ "b":1.50, "a":[] }`)},
		{Path: "/ActiveDirectoryConfig/GroupManagedServiceAccounts/1/Ru~1le", JSON: []byte(`"\u0061"`)},
		{Path: "/ActiveDirectoryConfig/HostAccountConfig/More", JSON: []byte(`null`)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	again, err := got.Encode()
	if err != nil {
		t.Fatal(err)
	}
	reread, err := credspec.Parse(again)
	if err != nil {
		t.Fatalf("%v in %s", err, again)
	}
	// Unknown members move to the end of their object, and are indented.
	for _, unknown := range [][]credspec.Field{want.Unknown, reread.Unknown} {
		slices.SortFunc(unknown, func(a, b credspec.Field) int { return strings.Compare(a.Path, b.Path) })
		for i := range unknown {
			var compact bytes.Buffer
			if err := json.Compact(&compact, unknown[i].JSON); err != nil {
				t.Fatal(err)
			}
			unknown[i].JSON = compact.Bytes()
		}
	}
	if diff := cmp.Diff(want, reread); diff != "" {
		t.Error(diff)
	}
}

func TestParseReadsADocumentWithoutAPlugin(t *testing.T) {
	for _, doc := range []string{`{}`, `{"ActiveDirectoryConfig":{}}`, `{"ActiveDirectoryConfig":{"HostAccountConfig":null}}`} {
		spec, err := credspec.Parse([]byte(doc))
		if err != nil || spec.ActiveDirectoryConfig.HostAccountConfig != nil {
			t.Errorf("%s: %v, %v", doc, spec, err)
		}
	}
}

func TestParseToleratesAByteOrderMark(t *testing.T) {
	if _, err := credspec.Parse([]byte("\ufeff" + credspectest.Document)); err != nil {
		t.Error(err)
	}
}

func TestParseRefusesWhatHasNoOneMeaning(t *testing.T) {
	for doc, want := range map[string]string{
		``:                                  `credential spec: line 1, column 1: the document is empty`,
		"{\n \"CmsPlugins\": [],\n}":        `credential spec: line 3, column 1: unexpected '}' where a member's name should start`,
		`[]`:                                `credential spec: line 1, column 1: the document is an array and should be an object`,
		`"{}"`:                              `credential spec: line 1, column 1: the document is a string and should be an object`,
		`{"CmsPlugins":"x"}`:                `credential spec: line 1, column 15 (/CmsPlugins): is a string and should be an array`,
		`{"CmsPlugins":[1]}`:                `credential spec: line 1, column 16 (/CmsPlugins/0): is a number and should be a string`,
		`{"DomainJoinConfig":{"Sid":null}}`: `credential spec: line 1, column 28 (/DomainJoinConfig/Sid): is null and should be a string`,
		`{"domainjoinconfig":{}}`:           `credential spec: line 1, column 2 (/domainjoinconfig): differs from DomainJoinConfig only in case; readers disagree on whether that is the same`,
		`{"ActiveDirectoryConfig":{"HostAccountConfig":{}, "hostaccountconfig":{}}}`:            `credential spec: line 1, column 51 (/ActiveDirectoryConfig/hostaccountconfig): differs from HostAccountConfig only in case; readers disagree on whether that is the same`,
		`{"ActiveDirectoryConfig":{"Ho\u017ftAccountConfig":{}}}`:                               `credential spec: line 1, column 27 (/ActiveDirectoryConfig/HoſtAccountConfig): differs from HostAccountConfig only in case; readers disagree on whether that is the same`,
		"{\"CmsPlugins\":[],\n\"CmsPlugins\":[]}":                                               `credential spec: line 2, column 1 (/CmsPlugins): stands there twice (first in line 1, column 2); readers disagree on which one counts`,
		`{"x":{"a":1,"\u0061":2}}`:                                                              `credential spec: line 1, column 13 (/x/a): stands there twice (first in line 1, column 7); readers disagree on which one counts`,
		`{"CmsPlugins\u0000":[]}`:                                                               "credential spec: line 1, column 2 (/CmsPlugins\x00): has a control character in its name; readers disagree on where such a name ends",
		`{"ActiveDirectoryConfig":{"HostAccountConfig":{"PluginInput":{"CredentialArn":"a"}}}}`: `credential spec: line 1, column 62 (/ActiveDirectoryConfig/HostAccountConfig/PluginInput): is an object and should be a string`,
		`{"ActiveDirectoryConfig":{"HostAccountConfig":{"PluginInput":"a\u0000b"}}}`:            `credential spec: line 1, column 62 (/ActiveDirectoryConfig/HostAccountConfig/PluginInput): has a NUL character; the plugin would see only what is before it`,
		strings.Repeat("[", 100):                                                                `credential spec: line 1, column 33: arrays and objects within each other deeper than 32`,
		`{"x":[` + strings.Repeat("0,", 20000):                                                  `credential spec: line 1, column 32771: the document has more than 16384 values`,
		strings.Repeat(" ", credspec.MaxSize) + "{}":                                            `credential spec: line 1, column 1048577: the document is longer than 1048576 bytes`,
	} {
		_, err := credspec.Parse([]byte(doc))
		var parse *credspec.ParseError
		if !errors.As(err, &parse) || !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("Parse(%.80q): error %v, want a ParseError", doc, err)
		} else if err.Error() != want {
			t.Errorf("Parse(%.80q):\n got %s\nwant %s", doc, err, want)
		}
	}
}

// Over the bound on listed problems, the one that makes a document unreadable
// must still be seen.
func TestParseSeesABlockingProblemAmongMany(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 1000 {
		fmt.Fprintf(&b, `"x%d":0,`, i)
	}
	b.WriteString(`"cmsplugins":[]}`)
	if _, err := credspec.Parse([]byte(b.String())); err == nil {
		t.Error("accepted")
	}
	problems := credspec.Validate([]byte(b.String()))
	last := problems[len(problems)-1]
	if len(problems) != 257 || last.Severity != credspec.SeverityError || !strings.Contains(last.Message, "more problems") {
		t.Errorf("%d problems, the last is %v", len(problems), last)
	}
}

func TestEncodeWritesADocumentWithoutAFault(t *testing.T) {
	doc, err := wholeSpec().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if problems := credspec.Validate(doc); len(problems) > 0 {
		t.Errorf("%v in %s", problems, doc)
	}
	var empty credspec.Spec
	doc, err = empty.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := credspec.Parse(doc); err != nil {
		t.Errorf("the empty Spec encodes to what cannot be parsed: %v", err)
	}
}

func TestEncodeRefusesWhatCannotBeADocument(t *testing.T) {
	for _, unknown := range []credspec.Field{{Path: "/x", JSON: []byte("{")}, {Path: "/cmsplugins", JSON: []byte("1")}} {
		spec := wholeSpec()
		spec.Unknown = []credspec.Field{unknown}
		if doc, err := spec.Encode(); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%v: %s, %v", unknown, doc, err)
		}
	}
}

func TestSpecPrintsWithoutItsPluginInput(t *testing.T) {
	spec := wholeSpec()
	spec.ActiveDirectoryConfig.HostAccountConfig.PluginInput = "canary"
	spec.Unknown = []credspec.Field{{Path: "/x", JSON: []byte("canary")}}
	host := spec.ActiveDirectoryConfig.HostAccountConfig
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("x", "spec", spec, "value", *spec, "host", host, "hostvalue", *host)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{spec, *spec, host, *host, spec.ActiveDirectoryConfig, spec.Unknown, []*credspec.Spec{spec}} {
			fmt.Fprintf(&log, verb, v)
		}
	}
	if s := log.String(); strings.Contains(s, "canary") || strings.Contains(s, fmt.Sprintf("%x", "canary")) {
		t.Errorf("prints %s", s)
	}
}

func TestKnownPluginKnowsThemInEverySpelling(t *testing.T) {
	for guid, want := range map[string]string{
		credspec.PluginGUID:                      "gmsa-agent",
		"ef7d2b85-2e68-4ab9-a283-dc42d15af0d4":   "gmsa-agent",
		"{e4781092-f116-4b79-b55e-28eb6a224e26}": "Rancher",
		"{CCC2A336-D7F3-4818-A213-272B7924213E}": "Azure Key Vault",
		"859e1386-BDB4-49E8-85C7-3070B13920E1":   "Amazon ECS",
		"{859e1386-BDB4-49E8-85C7-3070B13920E1":  "",
		"":                                       "",
	} {
		if got, ok := credspec.KnownPlugin(guid); got != want || ok != (want != "") {
			t.Errorf("KnownPlugin(%q) = %q, %v", guid, got, ok)
		}
	}
}
