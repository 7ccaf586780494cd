package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// generate runs "credspec generate" with the password of a user on standard input.
func (h *host) generate(t *testing.T, u adlab.User, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	words := []string{"credspec", "generate"}
	if u.Name != "" {
		h.canaries = append(h.canaries, u.Password)
		words = append(words, "--user", u.Name, "--password-file", "-")
	}
	code, stdout, stderr = h.gmsaAgent(t, u.Password, append(words, args...)...)
	t.Logf("%v\n%s%s", args, stdout, stderr)
	return code, stdout, stderr
}

// mustGenerate wants a document and not a further word.
func (h *host) mustGenerate(t *testing.T, u adlab.User, args ...string) string {
	t.Helper()
	code, stdout, stderr := h.generate(t, u, args...)
	if code != exitDone || stderr != "" {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	return stdout
}

func newGenerateHost(t *testing.T, l *adlab.Lab) *host {
	t.Helper()
	t.Setenv("KRB5CCNAME", filepath.Join(t.TempDir(), "none")) // this machine's own tickets have no say
	return newHost(t, map[string]config.Domain{l.Contoso.DNSName: domainOf(l.Contoso), l.Fabrikam.DNSName: domainOf(l.Fabrikam)})
}

func object(t *testing.T, document []byte) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal(document, &v); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return v
}

func TestGenerateAgainstRealDomains(t *testing.T) {
	l := startDomains(t)
	t.Run("what New-CredentialSpec writes", func(t *testing.T) { generateSame(t, l) })
	t.Run("then used in the chain", func(t *testing.T) { generateThenVerify(t, l) })
	t.Run("accounts of both domains", func(t *testing.T) { generateAdditional(t, l) })
	t.Run("as a manifest", func(t *testing.T) { generateManifest(t, l) })
	t.Run("who may ask", func(t *testing.T) { generateLogins(t, l) })
	t.Run("plugin user", func(t *testing.T) { generatePluginUser(t, l) })
	t.Run("state of the account", func(t *testing.T) { generateStates(t, l) })
	t.Run("files", func(t *testing.T) { generateFiles(t, l) })
	t.Run("refused", func(t *testing.T) { generateRefused(t, l) })
}

// The module itself needs Windows. What it writes for an account is composed
// here by the lab, which asks the directory as its administrator and shares no
// code with ours.
func generateSame(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	for _, d := range []*adlab.Domain{l.Contoso, l.Fabrikam} {
		args := []string{"--domain", d.DNSName, "--account", adlab.GMSA}
		first := h.mustGenerate(t, d.Outsider, args...)
		if diff := cmp.Diff(object(t, credentialSpec(t, d)), object(t, []byte(first))); diff != "" {
			t.Error(diff)
		}
		for _, other := range [][]string{args, {"--domain", strings.ToUpper(d.DNSName) + ".", "--account", strings.ToUpper(adlab.GMSA) + "$"}} {
			if again := h.mustGenerate(t, d.Plugin, other...); again != first {
				t.Errorf("%q writes other bytes:\n%s", other, again)
			}
		}
		if problems := credspec.Validate([]byte(first)); len(problems) > 0 {
			t.Errorf("%+v", problems)
		}
	}
}

func generateThenVerify(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	for _, d := range []*adlab.Domain{l.Contoso, l.Fabrikam} {
		h.put(t, d, d.Plugin)
		// Nothing but the secret says who asks, and which domain.
		name := strings.ToLower(d.NetBIOS)
		h.mustGenerate(t, adlab.User{}, "--account", adlab.GMSA, "--secret", "local://"+name, "--name", name)
		code, stdout, stderr := h.gmsaAgent(t, nil, "verify", "--spn", "ldap/"+d.Host, "file://"+name+".json")
		if want := "\nverified: webapp01$@" + d.Realm + "\n"; code != exitDone || stderr != "" || !strings.HasSuffix(stdout, want) {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
	}
}

func generateAdditional(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	c, f := l.Contoso, l.Fabrikam
	admin, err := c.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.AddGMSA("büro"); err != nil {
		t.Fatal(err)
	}
	h.put(t, f, f.Outsider)
	document := h.mustGenerate(t, c.Outsider, "--domain", c.DNSName, "--account", adlab.GMSA,
		"--additional-account", "büro", "--additional-account", adlab.GMSA+"@"+f.DNSName, "--auth-secret", "local://"+f.NetBIOS)
	spec, err := credspec.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	want := []credspec.Account{
		{Name: adlab.GMSA, Scope: c.DNSName}, {Name: adlab.GMSA, Scope: c.NetBIOS},
		{Name: "büro", Scope: c.DNSName}, {Name: "büro", Scope: c.NetBIOS},
		{Name: adlab.GMSA, Scope: f.DNSName}, {Name: adlab.GMSA, Scope: f.NetBIOS},
	}
	if diff := cmp.Diff(want, spec.ActiveDirectoryConfig.GroupManagedServiceAccounts); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(document, `"büro"`) {
		t.Error("letters beyond ASCII are not written as they are")
	}

	code, _, stderr := h.generate(t, c.Outsider, "--domain", c.DNSName, "--account", adlab.GMSA, "--additional-account", adlab.GMSA+"@"+f.DNSName)
	if code != exitFailed || !strings.Contains(stderr, "nobody to ask fabrikam.com as") || !strings.Contains(stderr, "--auth-secret") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func generateManifest(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	d := l.Contoso
	args := []string{"--domain", d.DNSName, "--account", adlab.GMSA}
	document := h.mustGenerate(t, d.Outsider, args...)
	for name, flags := range map[string][]string{"contoso-webapp01": nil, "other.name": {"--kube-name", "other.name"}} {
		manifest := h.mustGenerate(t, d.Outsider, append(append(args, "--format", "kubernetes"), flags...)...)
		var got map[string]any
		if err := yaml.Load([]byte(manifest), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"apiVersion": "windows.k8s.io/v1", "kind": "GMSACredentialSpec",
			"metadata": map[string]any{"name": name}, "credspec": object(t, []byte(document)),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func generateLogins(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	d := l.Contoso
	args := []string{"--domain", d.DNSName, "--account", adlab.GMSA}
	want := h.mustGenerate(t, d.Outsider, args...)
	password := h.path("password")
	h.write(t, "password", append(append([]byte{}, d.Outsider.Password...), '\n'))
	tickets := h.path("tickets")
	if err := d.Kinit(t.Context(), d.Outsider, tickets); err != nil {
		t.Fatal(err)
	}
	h.put(t, d, d.Plugin)
	for name, tt := range map[string]struct {
		args []string
		note bool
	}{
		"password file":                       {append(args, "--user", d.Outsider.Name+"@"+d.DNSName, "--password-file", password), true},
		"credential cache":                    {append(args, "--ccache", "FILE:"+tickets), false},
		"its realm":                           {[]string{"--account", adlab.GMSA, "--ccache", tickets}, false},
		"secret":                              {append(args, "--auth-secret", "local://"+d.NetBIOS), false},
		"the only domain controller is named": {append(args, "--auth-secret", "local://"+d.NetBIOS, "--dc", d.Host+"="+d.IP.String(), "--dns", "127.0.10.9", "--ca-file", d.CAFile), false},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := h.generate(t, adlab.User{}, tt.args...)
			if code != exitDone || stdout != want || (stderr != "") != tt.note {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
		})
	}
	t.Run("standing tickets", func(t *testing.T) {
		t.Setenv("KRB5CCNAME", "FILE:"+tickets)
		if got := h.mustGenerate(t, adlab.User{}, "--account", adlab.GMSA); got != want {
			t.Error(got)
		}
	})
}

func generatePluginUser(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	d := l.Contoso
	admin, err := d.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.AddGMSA("alone", adlab.Outsider); err != nil {
		t.Fatal(err)
	}
	h.put(t, d, d.Plugin) // may read webapp01 for being in a group
	warned := func(t *testing.T, words []string, args ...string) {
		t.Helper()
		code, stdout, stderr := h.generate(t, adlab.User{}, args...)
		if code != exitDone || len(credspec.Validate([]byte(stdout))) > 0 {
			t.Errorf("exit code %d\n%s", code, stdout)
		}
		for _, w := range words {
			if !strings.Contains(stderr, w) {
				t.Errorf("does not say %q:\n%s", w, stderr)
			}
		}
	}
	secret := "local://contoso"
	h.mustGenerate(t, adlab.User{}, "--domain", d.DNSName, "--account", adlab.GMSA, "--secret", secret)
	warned(t, []string{
		"warning: gmsa-plugin may not read the managed password of alone; who may: outsider\n",
		"hint: let a group that gmsa-plugin is in do so, too: Set-ADServiceAccount alone -PrincipalsAllowedToRetrieveManagedPassword outsider,GROUP -Server contoso.com\n",
	}, "--domain", d.DNSName, "--account", adlab.GMSA, "--additional-account", "alone", "--secret", secret)

	h.put(t, d, d.Outsider)
	for _, flag := range []string{"--secret", "--auth-secret"} {
		warned(t, []string{
			"warning: outsider may not read the managed password of webapp01; who may: members of the group WebApp01Hosts\n",
			"hint: Add-ADGroupMember WebApp01Hosts -Members outsider -Server contoso.com\n",
		}, "--domain", d.DNSName, "--account", adlab.GMSA, flag, secret)
	}
	code, stdout, stderr := h.generate(t, adlab.User{}, "-o", "json", "--domain", d.DNSName, "--account", adlab.GMSA, "--secret", secret)
	var answer generated
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil || code != exitDone || stderr != "" {
		t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
	}
	if len(answer.Warnings) != 1 || answer.Digest != credspec.Digest([]byte(answer.Document)) || answer.File != "" {
		t.Errorf("%+v", answer)
	}
	spec, err := credspec.Parse([]byte(answer.Document))
	if err != nil {
		t.Fatal(err)
	}
	want := credspec.HostAccountConfig{PortableCcgVersion: "1", PluginGUID: credspec.PluginGUID, PluginInput: secret}
	if got := spec.ActiveDirectoryConfig.HostAccountConfig; got == nil || *got != want {
		t.Errorf("%+v", got)
	}

	h.put(t, l.Fabrikam, l.Fabrikam.Plugin)
	h.canaries = append(h.canaries, d.Plugin.Password)
	password := h.path("password")
	h.write(t, "password", d.Plugin.Password)
	asPlugin := []string{"--domain", d.DNSName, "--account", adlab.GMSA, "--user", d.Plugin.Name, "--password-file", password}
	warned(t, []string{"warning: the agent will refuse the document: the secret local://fabrikam is of the domain fabrikam.com"},
		append(asPlugin, "--secret", "local://FABRIKAM")...)
	warned(t, []string{"warning: whether the plugin user may read the managed password is not checked: ", "local://elsewhere"},
		append(asPlugin, "--secret", "local://elsewhere")...)
}

func generateStates(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	d := l.Contoso
	admin, err := d.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for name, change := range map[string][2]string{
		"sleeping": {"userAccountControl", "4098"}, "ancient": {"msDS-SupportedEncryptionTypes", "4"}, "object-name": {"sAMAccountName", "logon-name$"},
	} {
		if err := admin.AddGMSA(name); err != nil {
			t.Fatal(err)
		}
		if err := admin.Change(name, change[0], change[1]); err != nil {
			t.Fatal(err)
		}
	}
	for name, words := range map[string]string{
		"sleeping": "sleeping is disabled", "ancient": "no encryption type but old ones", "object-name": "object-name is called logon-name when it logs on",
	} {
		code, stdout, stderr := h.generate(t, d.Outsider, "--domain", d.DNSName, "--account", name)
		if code != exitDone || !strings.HasPrefix(stderr, "warning: ") || !strings.Contains(stderr, words) || len(credspec.Validate([]byte(stdout))) > 0 {
			t.Errorf("exit code %d, does not say %q:\n%s", code, words, stderr)
		}
	}
}

func generateFiles(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	d := l.Contoso
	args := []string{"--domain", d.DNSName, "--account", adlab.GMSA}
	want := h.mustGenerate(t, d.Outsider, args...)
	check := func(path string, mode os.FileMode) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if mode == 0o644 && string(got) != want {
			t.Errorf("%s:\n%s", path, got)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	folder := filepath.Join(h.dir, "new", "folder")
	file := filepath.Join(folder, "mission.json") // whose name New-CredentialSpec would cut
	for range 2 {
		if out := h.mustGenerate(t, d.Outsider, append(args, "--file", file)...); out != file+" written\n" {
			t.Errorf("%q", out)
		}
		check(file, 0o644)
	}
	h.mustGenerate(t, d.Outsider, append(args, "--file", folder)...)
	check(filepath.Join(folder, "contoso_webapp01.json"), 0o644)
	h.mustGenerate(t, d.Outsider, append(args, "--name", "mission")...)
	check(h.path("mission.json"), 0o644)
	h.mustGenerate(t, d.Outsider, append(args, "--file", "-")...)
	h.write(t, "input", []byte("ObjectId=7b3bd78e-1c7d-4d2c-8f15-7c5e1a2d3c4b;SecretUri=https://contoso.vault.azure.net/secrets/gmsa\n"))
	h.mustGenerate(t, d.Outsider, append(args, "--file", folder+"/foreign.json", "--plugin-guid", "ccc2a336-d7f3-4818-a213-272b7924213e", "--plugin-input-file", h.path("input"))...)
	check(folder+"/foreign.json", 0o600)

	h.write(t, "input", []byte("a password"))
	code, _, stderr := h.generate(t, d.Outsider, append(args, "--file", folder+"/foreign.json", "--plugin-guid", "{CCC2A336-D7F3-4818-A213-272B7924213E}", "--plugin-input-file", h.path("input"))...)
	if code != exitDone || !strings.Contains(stderr, "its inputs are ObjectId=GUID;SecretUri=") || strings.Contains(stderr, "a password") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}

	for _, path := range []string{file, folder} {
		code, stdout, stderr := h.generate(t, d.Outsider, append(args, "--no-clobber", "--file", path)...)
		if code != exitFailed || stdout != "" || !strings.Contains(stderr, "exists already") {
			t.Errorf("%s: exit code %d\n%s%s", path, code, stdout, stderr)
		}
	}
	check(file, 0o644)
	h.mustGenerate(t, d.Outsider, append(args, "--no-clobber", "--file", filepath.Join(folder, "another.json"))...)
	check(filepath.Join(folder, "another.json"), 0o644)
	left, err := filepath.Glob(filepath.Join(folder, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func generateRefused(t *testing.T, l *adlab.Lab) {
	h := newGenerateHost(t, l)
	d := l.Contoso
	password := d.Outsider
	wrong := adlab.User{Name: d.Outsider.Name, Password: []byte("not-the-password")}
	for name, tt := range map[string]struct {
		user  adlab.User
		args  []string
		says  []string
		hints string
	}{
		"no such account":               {password, []string{"--domain", d.DNSName, "--account", "webap01"}, []string{"find the gMSA webap01 in contoso.com", "similar ones are webapp01"}, "Get-ADServiceAccount -Filter * -Server contoso.com"},
		"a user":                        {password, []string{"--domain", d.DNSName, "--account", adlab.PluginUser}, []string{"class user"}, "Get-ADServiceAccount"},
		"a computer":                    {password, []string{"--domain", d.DNSName, "--account", "dc1"}, []string{"class computer"}, "Get-ADServiceAccount"},
		"an additional one":             {password, []string{"--domain", d.DNSName, "--account", adlab.GMSA, "--additional-account", "nothing"}, []string{"find the gMSA nothing"}, "Get-ADServiceAccount"},
		"wrong password":                {wrong, []string{"--domain", d.DNSName, "--account", adlab.GMSA}, []string{"the password is wrong"}, "give another user"},
		"unknown user":                  {adlab.User{Name: "nobody", Password: []byte("whatever-it-is")}, []string{"--domain", d.DNSName, "--account", adlab.GMSA}, []string{"no account has this name"}, "give another user"},
		"other authority":               {password, []string{"--domain", d.DNSName, "--account", adlab.GMSA, "--ca-file", l.Fabrikam.CAFile}, []string{"certificate is not trusted"}, "--ca-file, or directory.domains.contoso.com.ca_file"},
		"nobody there":                  {password, []string{"--domain", d.DNSName, "--account", adlab.GMSA, "--dc", d.Host + "=127.0.10.9"}, []string{"127.0.10.9", "no answer"}, "--dc, or directory.domains"},
		"no such domain":                {password, []string{"--domain", "nowhere.contoso.com", "--dns", d.DNS, "--account", adlab.GMSA}, []string{"no SRV record"}, "--dns, or directory.domains"},
		"the other domain's controller": {password, []string{"--domain", d.DNSName, "--account", adlab.GMSA, "--dc", l.Fabrikam.Host + "=" + l.Fabrikam.IP.String()}, []string{"fabrikam"}, ""},
		"tickets of the other domain":   {adlab.User{}, []string{"--domain", d.DNSName, "--account", adlab.GMSA, "--ccache", fabrikamTickets(t, l)}, []string{"nobody to ask contoso.com as"}, "--ccache"},
		"no tickets":                    {adlab.User{}, []string{"--account", adlab.GMSA, "--ccache", h.path("absent")}, []string{"no ticket that can be used"}, "kinit -c FILE:PATH"},
		"nobody at all":                 {adlab.User{}, []string{"--domain", d.DNSName, "--account", adlab.GMSA}, []string{"nobody to ask"}, "--auth-secret"},
		"no such secret":                {adlab.User{}, []string{"--domain", d.DNSName, "--account", adlab.GMSA, "--secret", "local://absent"}, []string{"local://absent"}, "secret list"},
	} {
		t.Run(name, func(t *testing.T) {
			file := h.path("refused.json")
			code, stdout, stderr := h.generate(t, tt.user, append(tt.args, "--file", file)...)
			if code != exitFailed || stdout != "" {
				t.Errorf("exit code %d\n%s", code, stdout)
			}
			said, hint, _ := strings.Cut(stderr, "\nhint: ")
			for _, w := range tt.says {
				if !strings.Contains(said, w) {
					t.Errorf("%q does not say %q", said, w)
				}
			}
			if !strings.Contains(hint, tt.hints) {
				t.Errorf("hint %q has no %q", hint, tt.hints)
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("a file was written")
			}
		})
	}
}

func fabrikamTickets(t *testing.T, l *adlab.Lab) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tickets")
	if err := l.Fabrikam.Kinit(t.Context(), l.Fabrikam.Outsider, file); err != nil {
		t.Fatal(err)
	}
	return file
}
