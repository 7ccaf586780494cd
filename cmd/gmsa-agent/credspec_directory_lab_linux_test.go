package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// against runs "credspec validate --against-directory" and returns the one
// document's problems by their paths.
func (h *host) against(t *testing.T, wantCode int, args ...string) (problems map[string]credspec.Problem, stderr string) {
	t.Helper()
	code, stdout, stderr := h.gmsaAgent(t, nil, append([]string{"credspec", "validate", "--against-directory", "-o", "json"}, args...)...)
	t.Logf("%v\n%s%s", args, stdout, stderr)
	var verdicts []verdict
	if err := json.Unmarshal([]byte(stdout), &verdicts); err != nil || len(verdicts) != 1 || code != wantCode {
		t.Fatalf("exit code %d, want %d; %d verdicts, %v", code, wantCode, len(verdicts), err)
	}
	problems = make(map[string]credspec.Problem)
	for _, p := range verdicts[0].Problems {
		if p.Line == 0 {
			t.Errorf("%s has no place", p.Path)
		}
		problems[p.Path] = p
	}
	if verdicts[0].Valid != credspec.Valid(verdicts[0].Problems) {
		t.Errorf("valid: %t", verdicts[0].Valid)
	}
	return problems, stderr
}

func TestValidateAgainstRealDomains(t *testing.T) {
	l := startDomains(t)
	t.Run("true", func(t *testing.T) { againstTrue(t, l) })
	t.Run("not true", func(t *testing.T) { againstUntrue(t, l) })
	t.Run("plugin user", func(t *testing.T) { againstPluginUser(t, l) })
	t.Run("two domains", func(t *testing.T) { againstTwoDomains(t, l) })
	t.Run("manifest", func(t *testing.T) { againstManifest(t, l) })
	t.Run("no answer", func(t *testing.T) { againstNobody(t, l) })
}

func againstTrue(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	var files []string
	for _, d := range []*adlab.Domain{l.Contoso, l.Fabrikam} {
		h.put(t, d, d.Plugin)
		h.write(t, d.NetBIOS+".json", credentialSpec(t, d))
		files = append(files, h.path(d.NetBIOS+".json"))
	}
	code, stdout, stderr := h.gmsaAgent(t, nil, append([]string{"credspec", "validate", "--against-directory"}, files...)...)
	if want := files[0] + ": valid\n" + files[1] + ": valid\n"; code != exitDone || stdout != want || stderr != "" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func againstUntrue(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	d := l.Contoso
	h.put(t, d, d.Plugin)
	good := string(credentialSpec(t, d))
	spec, err := credspec.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	other, err := credspec.Parse(credentialSpec(t, l.Fabrikam))
	if err != nil {
		t.Fatal(err)
	}
	const listed = "/ActiveDirectoryConfig/GroupManagedServiceAccounts/0/Name"
	join, wrong := spec.DomainJoinConfig, other.DomainJoinConfig
	for name, tt := range map[string]struct {
		old, new string
		path     string
		says     string
		hint     string
	}{
		"SID":          {join.Sid, wrong.Sid, "/DomainJoinConfig/Sid", "the directory of contoso.com has", "write " + join.Sid},
		"GUID":         {join.Guid, wrong.Guid, "/DomainJoinConfig/Guid", "the directory of contoso.com has", "write " + join.Guid},
		"forest":       {`"DnsTreeName": "contoso.com"`, `"DnsTreeName": "example.com"`, "/DomainJoinConfig/DnsTreeName", "contoso.com", "write contoso.com"},
		"NetBIOS name": {`"CONTOSO"`, `"CONTO"`, "/DomainJoinConfig/NetBiosName", "CONTOSO", "write CONTOSO"},
		"account":      {`"webapp01"`, `"webap01"`, listed, "has no such gMSA: similar ones are webapp01", "Get-ADServiceAccount -Filter * -Server contoso.com"},
		"a user":       {`"webapp01"`, `"gmsa-plugin"`, listed, "class user", "Get-ADServiceAccount"},
	} {
		t.Run(name, func(t *testing.T) {
			h.write(t, "x.json", []byte(strings.ReplaceAll(good, tt.old, tt.new)))
			problems, _ := h.against(t, exitFailed, h.path("x.json"))
			p, ok := problems[tt.path]
			if !ok || p.Severity != credspec.SeverityError || !strings.Contains(p.Message, tt.says) || !strings.Contains(p.Hint, tt.hint) {
				t.Errorf("%+v", problems)
			}
		})
	}
	t.Run("braces and case do not count", func(t *testing.T) {
		text := strings.ReplaceAll(good, join.Guid, "{"+strings.ToUpper(join.Guid)+"}")
		text = strings.ReplaceAll(text, `"contoso.com"`, `"Contoso.Com"`)
		h.write(t, "x.json", []byte(text))
		if problems, _ := h.against(t, exitDone, h.path("x.json")); !credspec.Valid(slices.Collect(maps.Values(problems))) {
			t.Errorf("%+v", problems)
		}
	})
	t.Run("an account in a poor state", func(t *testing.T) {
		admin, err := d.Admin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		if err := admin.AddGMSA("poor", adlab.Readers); err != nil {
			t.Fatal(err)
		}
		if err := admin.Change("poor", "userAccountControl", "4098"); err != nil {
			t.Fatal(err)
		}
		h.write(t, "x.json", []byte(strings.ReplaceAll(good, `"webapp01"`, `"poor"`)))
		problems, _ := h.against(t, exitFailed, h.path("x.json"))
		if p := problems[listed]; !strings.Contains(p.Message, "disabled") || !strings.Contains(p.Hint, "Enable-ADAccount 'poor$'") {
			t.Errorf("%+v", problems)
		}
	})
}

func againstPluginUser(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	d := l.Contoso
	good := credentialSpec(t, d)
	h.write(t, "x.json", good)
	const listed = "/ActiveDirectoryConfig/GroupManagedServiceAccounts/0/Name"
	file := h.path("x.json")

	h.put(t, d, d.Outsider)
	problems, _ := h.against(t, exitFailed, file)
	if p := problems[listed]; !strings.Contains(p.Message, "outsider may not read the managed password of webapp01") ||
		p.Hint != "Add-ADGroupMember WebApp01Hosts -Members outsider -Server contoso.com" {
		t.Errorf("%+v", problems)
	}
	// Somebody else can be asked for, and can ask.
	password := h.path("password")
	h.write(t, "password", d.Plugin.Password)
	h.canaries = append(h.canaries, d.Plugin.Password)
	problems, _ = h.against(t, exitFailed, "--user", d.Plugin.Name, "--password-file", password, file)
	if len(problems) != 1 {
		t.Errorf("%+v", problems)
	}

	named, err := credspec.SetHostAccountConfig(good, credspec.HostAccountConfig{
		PortableCcgVersion: "1", PluginGUID: credspec.PluginGUID, PluginInput: "local://fabrikam",
	})
	if err != nil {
		t.Fatal(err)
	}
	h.put(t, l.Fabrikam, l.Fabrikam.Plugin)
	h.write(t, "named.json", named)
	problems, _ = h.against(t, exitFailed, "--user", d.Plugin.Name, "--password-file", password, h.path("named.json"))
	if p := problems["/ActiveDirectoryConfig/HostAccountConfig/PluginInput"]; !strings.Contains(p.Message, "serves no credential spec of contoso.com") {
		t.Errorf("%+v", problems)
	}
	problems, stderr := h.against(t, exitDone, "--user", d.Plugin.Name, "--password-file", password, "--secret", "local://absent", file)
	if len(problems) != 0 || !strings.Contains(stderr, "note: "+file+": whether a plugin user may read the managed passwords is not checked: ") {
		t.Errorf("%+v, %s", problems, stderr)
	}
}

func againstTwoDomains(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	for _, d := range []*adlab.Domain{l.Contoso, l.Fabrikam} {
		h.put(t, d, d.Plugin)
	}
	document := h.mustGenerate(t, adlab.User{}, "--account", adlab.GMSA, "--auth-secret", "local://contoso",
		"--auth-secret", "local://fabrikam", "--additional-account", adlab.GMSA+"@fabrikam.com")
	h.write(t, "x.json", []byte(document))
	both := []string{"--auth-secret", "local://fabrikam", h.path("x.json")}
	if problems, stderr := h.against(t, exitDone, both...); len(problems) != 0 || stderr != "" {
		t.Errorf("%+v, %s", problems, stderr)
	}
	// The document lists contoso's names first, then fabrikam's.
	const foreign = "/ActiveDirectoryConfig/GroupManagedServiceAccounts/2/"
	problems, _ := h.against(t, exitDone, h.path("x.json"))
	if p := problems[foreign+"Scope"]; p.Severity != credspec.SeverityWarning || !strings.Contains(p.Message, "nobody to ask fabrikam.com as") {
		t.Errorf("%+v", problems)
	}
	before, after, _ := strings.Cut(document, `"Scope": "CONTOSO"`)
	h.write(t, "x.json", []byte(before+`"Scope": "CONTOSO"`+strings.ReplaceAll(after, `"webapp01"`, `"nothing"`)))
	problems, _ = h.against(t, exitFailed, both...)
	if p := problems[foreign+"Name"]; !strings.Contains(p.Message, "the domain fabrikam.com has no such gMSA") || len(problems) != 1 {
		t.Errorf("%+v", problems)
	}
}

func againstManifest(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	d := l.Contoso
	h.put(t, d, d.Plugin)
	manifest := h.mustGenerate(t, adlab.User{}, "--account", adlab.GMSA, "--secret", "local://contoso", "--format", "kubernetes")
	h.write(t, "x.yaml", []byte("# ours\n"+manifest))
	if problems, stderr := h.against(t, exitDone, h.path("x.yaml")); len(problems) != 0 || stderr != "" {
		t.Errorf("%+v, %s", problems, stderr)
	}
	h.write(t, "x.yaml", []byte("# ours\n"+strings.Replace(manifest, "MachineAccountName: webapp01", "MachineAccountName: webapp02", 1)))
	problems, _ := h.against(t, exitFailed, h.path("x.yaml"))
	p := problems["/credspec/DomainJoinConfig/MachineAccountName"]
	if line := 1 + strings.Count(manifest[:strings.Index(manifest, "MachineAccountName")], "\n") + 1; p.Line != line || p.Column != 25 {
		t.Errorf("at line %d, column %d, want %d, 25: %+v", p.Line, p.Column, line, problems)
	}
}

func againstNobody(t *testing.T, l *adlab.Lab) {
	d := l.Contoso
	domain := domainOf(d)
	domain.Controllers = []string{d.Host + "=127.0.10.9"}
	h := newHost(t, map[string]config.Domain{d.DNSName: domain})
	t.Setenv("KRB5CCNAME", h.path("none"))
	h.write(t, "x.json", credentialSpec(t, d))
	problems, stderr := h.against(t, exitFailed, h.path("x.json"))
	if len(problems) != 0 || !strings.Contains(stderr, "error: there is nobody to ask contoso.com as") {
		t.Errorf("%+v, %s", problems, stderr)
	}
	h.put(t, d, d.Plugin)
	problems, stderr = h.against(t, exitFailed, h.path("x.json"))
	if len(problems) != 0 || !strings.Contains(stderr, "error: find a domain controller in contoso.com: no answer") || !strings.Contains(stderr, "hint: ") {
		t.Errorf("%+v, %s", problems, stderr)
	}
	code, _, stderr := h.gmsaAgent(t, nil, "credspec", "validate", "--against-directory", h.path("x.json"), h.path("x.json"))
	if code != exitFailed || strings.Count(stderr, "error: ") != 1 {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	problems, stderr = h.against(t, exitFailed, "--dc", d.Host+"="+d.IP.String(), "--ca-file", l.Fabrikam.CAFile, h.path("x.json"))
	if len(problems) != 0 || !strings.Contains(stderr, "certificate is not trusted") {
		t.Errorf("%+v, %s", problems, stderr)
	}
	if problems, stderr = h.against(t, exitDone, "--dc", d.Host+"="+d.IP.String(), h.path("x.json")); len(problems) != 0 || stderr != "" {
		t.Errorf("%+v, %s", problems, stderr)
	}
}
