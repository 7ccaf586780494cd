package credspec_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
)

func TestValidateFindsNothingInAFaultlessDocument(t *testing.T) {
	for _, doc := range []string{
		credspectest.Document,
		edited(t, `244818ae-87ac-4fcd-92ec-e79e5252348a`, `{244818AE-87AC-4FCD-92EC-E79E5252348A}`),
		edited(t, `"DnsName": "contoso.com"`, `"DnsName": "Emea_1.contoso.com"`, `"Scope": "contoso.com"`, `"Scope": "emea_1.CONTOSO.com"`),
		// additional accounts, of the same domain and of two others
		edited(t, `{"Name": "webapp01", "Scope": "contoso.com"},`, `{"Name": "webapp01", "Scope": "contoso.com"},
			{"Name": "sql", "Scope": "contoso.com"}, {"Name": "SQL", "Scope": "CONTOSO"},
			{"Name": "sql", "Scope": "fabrikam.com"}, {"Name": "sql", "Scope": "FABRIKAM"}, {"Name": "sql", "Scope": "NWT"}, {"Name": "sql", "Scope": "northwindtraders.com"},`),
		// a domain below the forest's root
		edited(t, `"DnsName": "contoso.com"`, `"DnsName": "emea.contoso.com"`, `"Scope": "contoso.com"`, `"Scope": "emea.contoso.com"`),
		// a NetBIOS name that has nothing of the DNS name
		edited(t, `"NetBiosName": "CONTOSO"`, `"NetBiosName": "AD"`, `"Scope": "CONTOSO"`, `"Scope": "ad"`),
	} {
		if problems := credspec.Validate([]byte(doc)); len(problems) > 0 {
			t.Errorf("%v", problems)
		}
	}
}

// problem is a Problem without its hint: "severity line:column path message".
type problem struct {
	severity     credspec.Severity
	path         string
	message      string
	line, column int
}

func TestValidateSaysWhatIsWrongAndWhere(t *testing.T) {
	const (
		join     = "/DomainJoinConfig"
		accounts = "/ActiveDirectoryConfig/GroupManagedServiceAccounts"
		host     = "/ActiveDirectoryConfig/HostAccountConfig"
		e, w     = credspec.SeverityError, credspec.SeverityWarning
	)
	for _, tt := range []struct {
		name string
		doc  string
		want []problem
	}{
		{"byte order mark", "\ufeff" + credspectest.Document, []problem{
			{w, "", "the document starts with a byte order mark, which runtimes hand on to Windows as it is; whether Windows reads such a document is not documented", 1, 1}}},
		{"UTF-16", "\xff\xfe{\x00}\x00", []problem{{e, "", "the document looks like UTF-16 and should be UTF-8", 1, 1}}},
		{"UTF-16 without a mark", "{\x00}\x00", []problem{{e, "", "the document looks like UTF-16 and should be UTF-8", 1, 1}}},
		{"comment", edited(t, "  \"CmsPlugins\"", "  // x\n  \"CmsPlugins\""), []problem{{e, "", "unexpected '/' where a member's name should start", 2, 3}}},
		{"too long for Kubernetes", credspectest.Document + strings.Repeat(" ", 64<<10), []problem{
			{w, "", "the document has 66188 bytes; Kubernetes refuses more than 65536", 1, 1}}},
		{"everything missing", `{}`, []problem{
			{e, "/CmsPlugins", "is missing", 1, 1}, {e, join, "is missing", 1, 1}, {e, "/ActiveDirectoryConfig", "is missing", 1, 1}}},
		{"members missing", ` {"CmsPlugins":[],"DomainJoinConfig":{},"ActiveDirectoryConfig":{"GroupManagedServiceAccounts":[{}],"HostAccountConfig":{}}}`, []problem{
			{e, "/CmsPlugins", `does not contain "ActiveDirectory"`, 1, 16},
			{e, join + "/Sid", "is missing", 1, 38}, {e, join + "/MachineAccountName", "is missing", 1, 38}, {e, join + "/Guid", "is missing", 1, 38},
			{e, join + "/DnsTreeName", "is missing", 1, 38}, {e, join + "/DnsName", "is missing", 1, 38}, {e, join + "/NetBiosName", "is missing", 1, 38},
			{e, accounts + "/0/Name", "is missing", 1, 97}, {e, accounts + "/0/Scope", "is missing", 1, 97},
			{e, host + "/PortableCcgVersion", "is missing", 1, 121}, {e, host + "/PluginGUID", "is missing", 1, 121}, {e, host + "/PluginInput", "is missing", 1, 121}}},
		{"unknown members", edited(t, `"Sid"`, `"Extra":1, "Sid"`), []problem{{w, join + "/Extra", "is not known; it is kept as it is", 4, 5}}},
		{"other CmsPlugins", edited(t, `["ActiveDirectory"]`, `["activedirectory","x"]`), []problem{
			{e, "/CmsPlugins/0", `is "activedirectory"; it should be "ActiveDirectory"`, 2, 18}, {w, "/CmsPlugins/1", `is "x", which is not known; it is kept as it is`, 2, 36}}},
		{"no account", edited(t, "{\"Name\": \"webapp01\", \"Scope\": \"contoso.com\"},\n      {\"Name\": \"webapp01\", \"Scope\": \"CONTOSO\"}", ""), []problem{
			{e, accounts, "lists no account", 12, 36}}},
		{"default account not listed", edited(t, `"MachineAccountName": "webapp01"`, `"MachineAccountName": "webapp02"`), []problem{
			{e, join + "/MachineAccountName", `is "webapp02", which is not among the accounts of ` + accounts, 5, 27}}},
		{"scope missing", edited(t, ",\n      {\"Name\": \"webapp01\", \"Scope\": \"CONTOSO\"}", ""), []problem{
			{w, accounts, `lists the default account "webapp01" without the scope "CONTOSO"`, 12, 36}}},
		{"HostAccountConfig null", edited(t, "{\n      \"PortableCcgVersion\": \"1\",\n      \"PluginGUID\": \"{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}\",\n      \"PluginInput\": \"local://contoso\"\n    }", "null"), []problem{
			{w, host, "is null, which is taken for absent; whether Windows takes it so is not documented", 16, 26}}},
		{"version as a number", edited(t, `"PortableCcgVersion": "1"`, `"PortableCcgVersion": 1`), []problem{{e, host + "/PortableCcgVersion", "is a number and should be a string", 17, 29}}},
		{"other version", edited(t, `"PortableCcgVersion": "1"`, `"PortableCcgVersion": "2"`), []problem{{e, host + "/PortableCcgVersion", `is "2"; the only version there is is "1"`, 17, 29}}},
		{"plugin without braces", edited(t, credspec.PluginGUID, strings.Trim(credspec.PluginGUID, "{}")), []problem{
			{e, host + "/PluginGUID", `is "EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4", without braces`, 18, 21}}},
		{"Microsoft's example of a plugin", edited(t, credspec.PluginGUID, "{GDMA0342-266A-4D1P-831J-20990E82944F}"), []problem{
			{e, host + "/PluginGUID", `is "{GDMA0342-266A-4D1P-831J-20990E82944F}", the example of Microsoft's and Amazon's documentation, which is no GUID: it has letters after F`, 18, 21}}},
		{"empty input", edited(t, `"local://contoso"`, `""`), []problem{{w, host + "/PluginInput", "is empty", 19, 22}}},
		{"several at once, in order", edited(t, "S-1-5-21-2126449477-2524075714-3094792973", "x", `"NetBiosName": "CONTOSO"`, `"NetBiosName": ""`, `["ActiveDirectory"]`, "{}"), []problem{
			{e, "/CmsPlugins", "is an object and should be an array", 2, 17},
			{e, join + "/Sid", `is "x"; a domain's SID is S-1-5-21- and three numbers`, 4, 12},
			{e, join + "/NetBiosName", "is empty", 9, 20}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []problem
			for _, p := range credspec.Validate([]byte(tt.doc)) {
				got = append(got, problem{p.Severity, p.Path, p.Message, p.Line, p.Column})
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(problem{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValidateKnowsTheFormsOfValues(t *testing.T) {
	const (
		e, w, ok = credspec.SeverityError, credspec.SeverityWarning, ""
		long     = "abcdefghijklmnop" // 16 characters
	)
	sid := `"S-1-5-21-2126449477-2524075714-3094792973"`
	for _, tt := range []struct {
		field string // as it stands in the document
		value string
		want  credspec.Severity
		says  string
	}{
		{`"Sid": ` + sid, "S-1-5-21-1-2-3", ok, ""},
		{`"Sid": ` + sid, "S-1-5-21-4294967295-0-3", ok, ""},
		{`"Sid": ` + sid, "s-1-5-21-1-2-3", w, "with a small s"},
		{`"Sid": ` + sid, "S-1-5-21-1-2-4294967296", e, `"4294967296" is not a number of 32 bits`},
		{`"Sid": ` + sid, "S-1-5-21-1-2-03", e, `"03" is not a number`},
		{`"Sid": ` + sid, "S-1-5-21-1-2-+3", e, `"+3" is not a number`},
		{`"Sid": ` + sid, "S-1-5-21-1-2-3-1104", e, "the SID of an account"},
		{`"Sid": ` + sid, "S-1-5-21-1-2", e, "three numbers after S-1-5-21"},
		{`"Sid": ` + sid, "S-1-5-32-544", e, "a domain's SID is S-1-5-21-"},
		{`"Sid": ` + sid, "", e, "a domain's SID is S-1-5-21-"},
		{`"Guid": "244818ae-87ac-4fcd-92ec-e79e5252348a"`, "244818ae87ac4fcd92ece79e5252348a", e, "a GUID is 8-4-4-4-12"},
		{`"Guid": "244818ae-87ac-4fcd-92ec-e79e5252348a"`, "{244818ae-87ac-4fcd-92ec-e79e5252348a", e, "a GUID is 8-4-4-4-12"},
		{`"Guid": "244818ae-87ac-4fcd-92ec-e79e5252348a"`, "244818ae-87ac-4fcd-92ec-e79e5252348g", e, "a GUID is 8-4-4-4-12"},
		{`"DnsTreeName": "contoso.com"`, "contoso", w, "single label"},
		{`"DnsTreeName": "contoso.com"`, "emea.contoso.com", w, "a forest's root is never below one of its domains"},
		{`"DnsTreeName": "contoso.com"`, "fabrikam.com", w, "in a forest of several trees only"},
		{`"DnsTreeName": "contoso.com"`, "ontoso.com", w, "in a forest of several trees only"},
		{`"DnsTreeName": "contoso.com"`, "$DNS_ROOT_DOMAIN_NAME", e, "is the placeholder"},
		{`"DnsTreeName": "contoso.com"`, "bücher.example", w, "many DNS servers do not take"},
		{`"DnsTreeName": "contoso.com"`, "contoso.com.", e, "with a dot at the end"},
		{`"DnsTreeName": "contoso.com"`, "contoso..com", e, "not a DNS name"},
		{`"DnsTreeName": "contoso.com"`, "-contoso.com", e, "not a DNS name"},
		{`"DnsTreeName": "contoso.com"`, "con toso.com", e, "not a DNS name"},
		{`"DnsTreeName": "contoso.com"`, strings.Repeat("a", 64) + ".com", e, "not a DNS name"},
		{`"DnsTreeName": "contoso.com"`, strings.Repeat("a.", 127), e, "at most 253"},
		{`"DnsTreeName": "contoso.com"`, ".", e, "not a DNS name"},
		{`"DnsTreeName": "contoso.com"`, "", e, "is empty"},
		{`"NetBiosName": "CONTOSO"`, "contoso.example.com", e, "looks like a DNS name"},
		{`"NetBiosName": "CONTOSO"`, "CON_TOSO!" + long, e, "at most 15 characters"},
		{`"NetBiosName": "CONTOSO"`, "CON/TOSO", e, "not a NetBIOS name"},
		{`"NetBiosName": "CONTOSO"`, ".CONTOSO", e, "not a NetBIOS name"},
		{`"NetBiosName": "CONTOSO"`, "CON.TOSO", w, "no dot nowadays"},
		{`"Name": "webapp01", "Scope": "contoso.com"`, "webapp01$", e, "with a $ at the end"},
		{`"Name": "webapp01", "Scope": "contoso.com"`, `CONTOSO\\webapp01`, e, "with a domain"},
		{`"Name": "webapp01", "Scope": "contoso.com"`, "webapp01@contoso.com", e, "with a domain"},
		{`"Name": "webapp01", "Scope": "contoso.com"`, long, e, "at most 15 characters"},
		{`"Name": "webapp01", "Scope": "contoso.com"`, "web*app", e, "not an account's name"},
		{`"Name": "webapp01", "Scope": "contoso.com"`, " webapp01", e, "not an account's name"},
		{`"Name": "webapp01", "Scope": "contoso.com"`, "", e, "is empty"},
		{`"Scope": "CONTOSO"`, "CON/TOSO", e, "neither a DNS nor a NetBIOS name"},
		{`"Scope": "CONTOSO"`, "", e, "neither a DNS nor a NetBIOS name"},
		{`"Scope": "CONTOSO"`, "bücher.example", w, "many DNS servers"},
	} {
		name, _, _ := strings.Cut(tt.field, ":")
		rest := ""
		if i := strings.Index(tt.field, `", "`); i >= 0 {
			rest = tt.field[i+1:]
		}
		doc := edited(t, tt.field, name+`: "`+tt.value+`"`+rest)
		problems := slices.DeleteFunc(credspec.Validate([]byte(doc)), func(p credspec.Problem) bool {
			return strings.Contains(p.Message, "without the scope") || strings.Contains(p.Message, "almost the domain's") // follows from the value
		})
		if tt.want == ok {
			if len(problems) > 0 {
				t.Errorf("%s %q: %v", name, tt.value, problems)
			}
			continue
		}
		if len(problems) != 1 || problems[0].Severity != tt.want || !strings.Contains(problems[0].Message, tt.says) {
			t.Errorf("%s %q: %v, want one %s with %q", name, tt.value, problems, tt.want, tt.says)
		}
	}
}

func TestValidateHintsAtTheRemedy(t *testing.T) {
	for doc, want := range map[string]string{
		`{'a':1}`:           "double quotes",
		`{"a":1,}`:          "remove the comma",
		`{"a":"\x"}`:        `written \\`,
		"{\n# x\n}":         "no comments",
		"\xfe\xff\x00":      "PowerShell",
		`"{}"`:              "not a JSON string",
		`{"cmsPlugins":[]}`: "write CmsPlugins",
		`{"ActiveDirectoryConfig":{"HostAccountConfig":{"PluginInput":{}}}}`: `its quotes as \"`,
	} {
		problems := credspec.Validate([]byte(doc))
		if !slices.ContainsFunc(problems, func(p credspec.Problem) bool { return strings.Contains(p.Hint, want) }) {
			t.Errorf("%q: no hint with %q in %v", doc, want, problems)
		}
	}
}

func TestValidateNeverRepeatsAPluginInput(t *testing.T) {
	for _, input := range []string{`"canary\u0000"`, `{"canary":1}`, `["canary"]`, `"canary`, `"canary" "canary"`} {
		doc := edited(t, `"local://contoso"`, input)
		printed, err := json.Marshal(credspec.Validate([]byte(doc)))
		if err != nil {
			t.Fatal(err)
		}
		_, parseErr := credspec.Parse([]byte(doc))
		if parseErr == nil || strings.Contains(string(printed)+parseErr.Error(), "canary") {
			t.Errorf("input %s: %s, %v", input, printed, parseErr)
		}
	}
}

func TestProblemsAreWrittenAsDocumented(t *testing.T) {
	got, err := json.Marshal(credspec.Validate([]byte(edited(t, `"local://contoso"`, `""`))))
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"path":"/ActiveDirectoryConfig/HostAccountConfig/PluginInput","severity":"warning","message":"is empty","hint":"name the secret, such as local://NAME; without one the agent takes the one that serves the domain","line":19,"column":22}]`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, _ := json.Marshal(credspec.Validate([]byte(credspectest.Document))); string(got) != "[]" {
		t.Errorf("no problems are written as %s", got)
	}
}

func TestValidTellsErrorsFromWarnings(t *testing.T) {
	if !credspec.Valid([]credspec.Problem{{Severity: credspec.SeverityWarning}}) || credspec.Valid([]credspec.Problem{{Severity: credspec.SeverityError}}) {
		t.Error("wrong")
	}
}

// Whatever the bytes: the problems are bounded, in order and within the text,
// and Parse accepts only what has no error of structure.
func FuzzValidate(f *testing.F) {
	for _, doc := range seeds(f) {
		f.Add([]byte(doc))
	}
	scripts, err := filepath.Glob("../cmd/gmsa-agent/testdata/script/credspec_validate_*.txtar")
	if err != nil || len(scripts) == 0 {
		f.Fatal("no seeds: ", err)
	}
	for _, script := range scripts {
		archive, err := txtar.ParseFile(script)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasPrefix(file.Name, "specs/") {
				f.Add(file.Data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		problems := credspec.Validate(doc, credspec.WithPlugins(credspec.Plugin{GUID: credspec.PluginGUID, Served: true, Input: func(string) error { return errors.New("x") }}))
		lines := 1 + strings.Count(string(doc), "\n")
		for i, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" || p.Hint == "" || p.Severity != credspec.SeverityError && p.Severity != credspec.SeverityWarning {
				t.Fatalf("problem %+v", p)
			}
			if i > 0 && (p.Line < problems[i-1].Line || p.Line == problems[i-1].Line && p.Column < problems[i-1].Column) {
				t.Fatalf("%+v after %+v", p, problems[i-1])
			}
		}
		if len(problems) > 257 {
			t.Fatalf("%d problems", len(problems))
		}
		spec, err := credspec.Parse(doc)
		if err != nil {
			var parse *credspec.ParseError
			if !errors.As(err, &parse) {
				t.Fatalf("error %T", err)
			}
			if credspec.Valid(problems) || credspec.Valid(credspec.Validate(doc)) {
				t.Fatalf("Parse refuses what Validate finds valid: %v", err)
			}
			return
		}
		// What was read can be written, and reads as the same.
		encoded, err := spec.Encode()
		if err != nil {
			t.Fatalf("Encode: %v", err)
		}
		again, err := credspec.Parse(encoded)
		if err != nil {
			t.Fatalf("Parse(Encode): %v in %s", err, encoded)
		}
		if len(again.Unknown) != len(spec.Unknown) {
			t.Fatalf("%d unknown members became %d", len(spec.Unknown), len(again.Unknown))
		}
		spec.Unknown, again.Unknown = nil, nil
		if diff := cmp.Diff(spec, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

// seeds are documents for the fuzzers.
func seeds(t testing.TB) []string {
	return []string{
		credspectest.Document, "\ufeff" + credspectest.Document, `{}`, `{"ActiveDirectoryConfig":{}}`,
		`{"ActiveDirectoryConfig":{"HostAccountConfig":null}}`,
		`{"ActiveDirectoryConfig":{"HostAccountConfig":{"PluginInput":"a","X":[1.0e3]}, "Y":"\u00e9"}, "z":{}}`,
		`{"ActiveDirectoryConfig":{"hostAccountConfig":{},"HostAccountConfig":{}}}`,
		edited(t, `"Sid"`, `"Sid":"S-1-5-21-1-2-3","Sid"`),
		edited(t, `"CmsPlugins"`, `"More":{"a/b":[{"~":1}]},"CmsPlugins"`),
	}
}

func BenchmarkValidate(b *testing.B) {
	doc := []byte(credspectest.Document)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if problems := credspec.Validate(doc); len(problems) > 0 {
			b.Fatal(problems)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	doc := []byte(credspectest.Document)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := credspec.Parse(doc); err != nil {
			b.Fatal(err)
		}
	}
}
