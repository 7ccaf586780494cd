package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// host is an agent's host in a folder of its own, with the real domains around.
type host struct {
	dir      string
	canaries [][]byte // passwords that must not be seen
}

func newHost(t *testing.T, domains map[string]config.Domain) *host {
	t.Helper()
	h := &host{dir: t.TempDir()}
	cfg := config.Default()
	cfg.StateDir, cfg.Audit.File, cfg.Secrets.Local.Dir = h.path("state"), h.path("audit.jsonl"), h.path("secrets")
	cfg.CredentialSpecs.Folders = []string{h.dir}
	cfg.DomainJoined = config.JoinedNo
	cfg.Directory.Domains = domains
	text, err := yaml.Dump(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "config.yaml", text)
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(h.path(name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// gmsaAgent is a command line on the host. Whatever it does, it shows no password.
func (h *host) gmsaAgent(t *testing.T, stdin []byte, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(append([]string{program, "--config", h.path("config.yaml")}, args...), bytes.NewReader(stdin), &out, &errs)
	for _, canary := range h.canaries {
		if bytes.Contains(out.Bytes(), canary) || bytes.Contains(errs.Bytes(), canary) {
			t.Errorf("%v shows a password", args)
		}
	}
	return code, out.String(), errs.String()
}

// put stores a plugin user as the one secret of its domain.
func (h *host) put(t *testing.T, d *adlab.Domain, u adlab.User) {
	t.Helper()
	h.canaries = append(h.canaries, u.Password)
	if code, _, stderr := h.gmsaAgent(t, u.Password, "secret", "put", "--domain", d.DNSName, "--user", u.Name, d.NetBIOS); code != exitDone {
		t.Fatal(stderr)
	}
}

func domainOf(d *adlab.Domain) config.Domain {
	return config.Domain{DNS: []string{d.DNS}, CAFile: d.CAFile}
}

func startDomains(t *testing.T) *adlab.Lab {
	t.Helper()
	if err := adlab.Ready(); err != nil {
		t.Skip(err)
	}
	l, err := adlab.Start(context.Background(), adlab.Options{Wait: 5 * time.Minute, Report: lab.Report(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func credentialSpec(t *testing.T, d *adlab.Domain) []byte {
	t.Helper()
	spec, err := d.CredentialSpec(t.Context(), adlab.GMSA)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestVerifyAgainstRealDomains(t *testing.T) {
	l := startDomains(t)
	t.Run("green in each domain", func(t *testing.T) { verifyGreen(t, l) })
	t.Run("red in words", func(t *testing.T) { verifyRed(t, l.Contoso) })
	t.Run("clock", func(t *testing.T) {
		shifted, err := l.Shifted(t.Context(), l.Contoso, 20*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		domain := domainOf(shifted)
		domain.Controllers = []string{shifted.Host + "=" + shifted.IP.String()} // its DNS names the original's address
		h := newHost(t, map[string]config.Domain{shifted.DNSName: domain})
		h.write(t, "webapp01.json", credentialSpec(t, l.Contoso))
		h.put(t, shifted, shifted.Plugin)
		h.refused(t, directory.StepAuthenticate, []string{"clock"}, "timedatectl", "verify", h.path("webapp01.json"))
	})
}

func verifyGreen(t *testing.T, l *adlab.Lab) {
	h := newHost(t, map[string]config.Domain{l.Contoso.DNSName: domainOf(l.Contoso), l.Fabrikam.DNSName: domainOf(l.Fabrikam)})
	for _, d := range []*adlab.Domain{l.Contoso, l.Fabrikam} {
		h.put(t, d, d.Plugin)
		h.write(t, d.NetBIOS+".json", credentialSpec(t, d))
	}
	for _, d := range []*adlab.Domain{l.Contoso, l.Fabrikam} {
		code, stdout, stderr := h.gmsaAgent(t, nil, "verify", "--spn", "ldap/"+d.Host, "file://"+d.NetBIOS+".json")
		t.Log("\n" + stdout)
		if code != exitDone || stderr != "" {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		if want := "\nverified: webapp01$@" + d.Realm + "\n"; !strings.HasSuffix(stdout, want) {
			t.Errorf("%s does not end in %q", stdout, want)
		}

		code, stdout, stderr = h.gmsaAgent(t, nil, "verify", "--spn", "ldap/"+d.Host, "-o", "json", h.path(d.NetBIOS+".json"))
		var answer verified
		if err := json.Unmarshal([]byte(stdout), &answer); err != nil || code != exitDone || stderr != "" {
			t.Fatalf("exit code %d, %v\n%s", code, err, stderr)
		}
		var names []string
		for _, step := range answer.Steps {
			names = append(names, step.Name)
			if !step.OK || step.Error != "" {
				t.Errorf("step %+v", step)
			}
		}
		want := []string{
			stepResolve, stepValidate, stepPolicy, stepSecret, stepFetch, directory.StepFindController, directory.StepAuthenticate, directory.StepConnect,
			directory.StepReadPassword, directory.StepImpersonate, directory.StepWhoAmI, directory.StepServiceTicket,
		}
		if !slices.Equal(names, want) {
			t.Errorf("steps %q, want %q", names, want)
		}
		if !answer.OK || answer.Principal != "webapp01$@"+d.Realm || answer.Service != "ldap/"+d.Host+"@"+d.Realm || answer.Expires == nil {
			t.Errorf("answer %+v", answer)
		}
	}
}

// refused runs a verification that must end at step, with an error that has the
// words and a hint that has the command.
func (h *host) refused(t *testing.T, step string, words []string, command string, args ...string) {
	t.Helper()
	code, stdout, stderr := h.gmsaAgent(t, nil, args...)
	t.Log("\n" + stdout + stderr)
	if code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, fmt.Sprintf("FAILED  %s ", step)) {
		t.Errorf("the last step is %q, want %s", last, step)
	}
	said, hint, _ := strings.Cut(stderr, "\nhint: ")
	for _, word := range words {
		if !strings.Contains(said, word) {
			t.Errorf("%q does not say %q", said, word)
		}
	}
	if !strings.Contains(hint, command) {
		t.Errorf("hint %q has no %q", hint, command)
	}
}

func verifyRed(t *testing.T, d *adlab.Domain) {
	admin, err := d.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	h := newHost(t, map[string]config.Domain{d.DNSName: domainOf(d)})
	spec := credentialSpec(t, d)
	h.write(t, "webapp01.json", spec)
	h.write(t, "nothing.json", bytes.ReplaceAll(spec, []byte(adlab.GMSA), []byte("nothing")))

	for _, tt := range []struct {
		flaw    adlab.Flaw
		command string
	}{
		{adlab.Disabled, "Enable-ADAccount"},
		{adlab.Locked, "Unlock-ADAccount"},
		{adlab.AccountExpired, "Clear-ADAccountExpiration"},
		{adlab.PasswordExpired, "Set-ADAccountPassword"},
		{adlab.MustChange, "Set-ADAccountPassword"},
		{adlab.LogonHours, "logonHours"},
		{adlab.SmartCardNeeded, "SmartcardLogonRequired"},
		{adlab.StalePassword, "secret put --domain contoso.com"},
	} {
		t.Run(string(tt.flaw), func(t *testing.T) {
			u, err := admin.AddFlawed(t.Context(), "cli-"+string(tt.flaw), tt.flaw, adlab.Readers)
			if err != nil {
				t.Fatal(err)
			}
			h.put(t, d, u)
			h.refused(t, directory.StepAuthenticate, []string{u.Name}, tt.command, "verify", h.path("webapp01.json"))
		})
	}

	t.Run("wrong password", func(t *testing.T) {
		h.put(t, d, adlab.User{Name: d.Plugin.Name, Password: []byte("not-the-password")})
		h.refused(t, directory.StepAuthenticate, []string{"password is wrong"}, "secret put --domain contoso.com --user "+d.Plugin.Name, "verify", h.path("webapp01.json"))
	})
	t.Run("unknown user", func(t *testing.T) {
		h.put(t, d, adlab.User{Name: "nobody", Password: []byte("whatever-it-is")})
		h.refused(t, directory.StepAuthenticate, []string{"nobody"}, "secret put", "verify", h.path("webapp01.json"))
	})
	t.Run("outsider", func(t *testing.T) {
		h.put(t, d, d.Outsider)
		h.refused(t, directory.StepReadPassword, []string{d.Outsider.Name, "may not read"}, "PrincipalsAllowedToRetrieveManagedPassword", "verify", h.path("webapp01.json"))
	})
	h.put(t, d, d.Plugin)
	t.Run("no such gMSA", func(t *testing.T) {
		h.refused(t, directory.StepReadPassword, []string{"nothing"}, "Get-ADServiceAccount", "verify", h.path("nothing.json"))
	})
	t.Run("no such service", func(t *testing.T) {
		h.refused(t, directory.StepServiceTicket, []string{"http/nothing"}, "setspn -Q http/nothing", "verify", "--spn", "http/nothing", h.path("webapp01.json"))
	})
	t.Run("unreachable", func(t *testing.T) {
		domain := domainOf(d)
		domain.Controllers = []string{d.Host + "=127.0.10.9"}
		h := newHost(t, map[string]config.Domain{d.DNSName: domain})
		h.write(t, "webapp01.json", spec)
		h.put(t, d, d.Plugin)
		h.refused(t, directory.StepFindController, []string{"127.0.10.9"}, "config show", "verify", h.path("webapp01.json"))
	})
}
