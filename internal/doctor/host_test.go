package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

const canary = "opensesame"

// fakeStores are secrets by reference.
type fakeStores struct {
	domains map[string]string // of the users, by reference
	listed  []secrets.Entry
}

func (f *fakeStores) Fetch(_ context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	domain, ok := f.domains[ref.String()]
	if !ok {
		return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: fault.ErrNotFound}
	}
	password := canary
	if strings.HasSuffix(ref.Rest, "odd") {
		password += "\n"
	}
	return &secrets.Credential{Domain: domain, User: "ccg", Password: secrets.New([]byte(password))}, nil
}

func (f *fakeStores) List(context.Context) ([]secrets.Entry, error) { return f.listed, nil }

// fakeDomain answers as its fields have it.
type fakeDomain struct {
	find, clock, transport error
	ahead                  time.Duration
}

func (f *fakeDomain) FindController(context.Context) (*directory.Controller, error) {
	return &directory.Controller{Host: "dc1.contoso.com", Addr: netip.MustParseAddr("10.0.0.1")}, f.find
}

func (f *fakeDomain) Clock(context.Context, *directory.Controller) (time.Duration, error) {
	return f.ahead, f.clock
}

func (f *fakeDomain) Transport(context.Context, *directory.Controller) (string, error) {
	return "LDAPS", f.transport
}

// well is a Windows host on which everything is as it should be.
func well() (*Host, *fakeStores, *fakeDomain, *agent.Status) {
	cfg := config.Default()
	cfg.Secrets.Serve = []config.Serve{{Domain: "contoso.com", Secret: "local://contoso"}}
	stores := &fakeStores{
		domains: map[string]string{"local://contoso": "contoso.com"},
		listed:  []secrets.Entry{{Ref: secrets.Ref{Scheme: "local", Rest: "contoso"}, Domain: "contoso.com"}},
	}
	domain := &fakeDomain{}
	status := &agent.Status{
		Version: "1.0.0", PID: 7,
		Hooks: []agent.Hook{{Name: "containerd", Endpoint: "pipe", Connected: true, Wrapper: true}},
	}
	return &Host{
		Version: "1.0.0", Windows: true, Config: cfg, Trusted: func() error { return nil },
		Folder: func(string) error { return nil },
		Service: func(context.Context) (*service.Status, error) {
			return &service.Status{Installed: true, Version: "1.0.0", Running: "1.0.0"}, nil
		},
		Agent:         func(context.Context) (agent.Status, error) { return *status, nil },
		PluginChannel: func(context.Context) error { return nil },
		Plugin:        func() (Plugin, error) { return Plugin{DLL: `C:\ccg-plugin.dll`}, nil },
		PluginCall:    func(context.Context) (PluginCall, error) { return PluginCall{Reached: true}, nil },
		CCG:           func() error { return nil },
		EventSource:   func() ([]string, error) { return nil, nil },
		Joined:        func() (bool, error) { return false, nil },
		Secrets:       func() (Secrets, error) { return stores, nil },
		Domain:        func(string) (Domain, error) { return domain, nil },
		Again:         func(command string) string { return "gmsa-agent " + command },
		Hint:          func(error) string { return "the error's" },
		DomainHint:    func(domain string, _ error) string { return "of " + domain },
	}, stores, domain, status
}

func look(t *testing.T, h *Host) []Finding {
	t.Helper()
	found := Run(t.Context(), h.Checks())
	if strings.Contains(fmt.Sprintf("%+v", found), canary) {
		t.Errorf("a password is told: %+v", found)
	}
	return found
}

func TestAHostThatIsWellHasNothingToDo(t *testing.T) {
	h, _, _, _ := well()
	found := look(t, h)
	for _, f := range found {
		if f.State != OK || f.Hint != "" || f.Message == "" {
			t.Errorf("%+v", f)
		}
	}
	for _, name := range []string{
		"configuration", "state folder", "service", "agent", "containerd", "shim wrapper", "plugin channel", "plugin", "plugin call", "ccg",
		"event source", "domain membership", "local store", "secret local://contoso", "domain contoso.com", "domain contoso.com clock", "domain contoso.com ldap",
	} {
		find(t, found, name)
	}
}

// Each case breaks one link; the finding names it, and says what to do.
func TestEveryBrokenLinkIsNamed(t *testing.T) {
	broken := errors.New("it is broken")
	for _, c := range []struct {
		name       string
		breaks     func(h *Host, stores *fakeStores, domain *fakeDomain, status *agent.Status)
		check      string
		state      State
		says, hint string
	}{
		{"untrusted folder", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Folder = func(string) error { return broken }
		},
			"state folder", Failed, "broken", "administrators alone"},
		{"no folder yet", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Folder = func(string) error { return fs.ErrNotExist }
		},
			"local store", Skipped, "no secret was ever stored", ""},
		{"service problem", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Service = func(context.Context) (*service.Status, error) {
				return &service.Status{Installed: true, Problems: []service.Problem{{What: "the service does not run", Remedy: "gmsa-agent service start"}}}, nil
			}
		}, "service", Failed, "does not run", "gmsa-agent service start"},
		{"no service", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Service = func(context.Context) (*service.Status, error) { return &service.Status{}, nil }
		}, "service", Skipped, "not installed", "service install"},
		{"no agent", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Agent = func(context.Context) (agent.Status, error) { return agent.Status{}, broken }
		}, "agent", Failed, "broken", "the error's"},
		{"another version", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) { s.Version = "0.9.0" },
			"agent", Warning, "version 0.9.0 runs", "service status"},
		{"no runtime", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) { s.Hooks = nil },
			"runtimes", Warning, "no runtime is watched", "config show"},
		{"containerd away", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.Hooks = []agent.Hook{{Name: "containerd", Endpoint: "pipe", Since: time.Now(), Error: "gone"}}
		}, "containerd", Failed, "pipe: not connected: gone", "config show"},
		{"no wrapper", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) { s.Hooks[0].Wrapper = false },
			"shim wrapper", Warning, "no container there is given a grant", "docs/containerd.md"},
		{"best effort", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.Hooks[0].Wrapper, s.Hooks[0].Injects = false, true
		},
			"shim wrapper", Warning, "best effort", "gmsa-agent doctor"},
		{"no gate", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.Hooks = []agent.Hook{{Name: "docker", Connected: true}}
		}, "docker gate", Warning, "not asked it", "docs/docker.md"},
		{"spoilt place", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.Hooks = []agent.Hook{{Name: "docker", Connected: true, Gate: true, Places: []agent.Place{{Place: "file://a.json", Error: "gone"}}}}
		}, "docker file://a.json", Failed, "gone", "gmsa-agent status"},
		{"source away", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.Sources = []agent.Source{{Scheme: "https", Failures: 1, LastError: "503", LastErrorAt: time.Now()}}
		}, "source https", Failed, "503", "credspec resolve"},
		{"source back", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.Sources = []agent.Source{{Scheme: "https", Failures: 1, LastError: "503", LastErrorAt: time.Now().Add(-time.Hour), LastSuccess: time.Now()}}
		}, "source https", OK, "1 requests failed before", ""},
		{"stale document", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.Documents = []agent.Document{{Reference: "https://x/a.json", Stale: "503"}}
		}, "document https://x/a.json", Warning, "503", "credspec resolve"},
		{"store away", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.Stores = []agent.Store{{Scheme: "vault", Failures: 1, LastError: "sealed", LastErrorAt: time.Now()}}
		}, "store vault", Failed, "sealed", "secret check"},
		{"orphans stay", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.CCG = &hcs.ReaperStatus{Instances: 3, Orphaned: 2}
		},
			"ccg instances", Warning, "2 of 3", "ccg reap"},
		{"instances not seen", func(_ *Host, _ *fakeStores, _ *fakeDomain, s *agent.Status) {
			s.CCG = &hcs.ReaperStatus{LastError: "0xC0020017", LastErrorAt: time.Now()}
		}, "ccg instances", Failed, "0xC0020017", "ccg list"},
		{"foreign channel", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.PluginChannel = func(context.Context) error { return broken }
		}, "plugin channel", Failed, "broken", "the error's"},
		{"no plugin and no domain", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Plugin = func() (Plugin, error) { return Plugin{Nothing: true}, nil }
		}, "plugin", Failed, "nobody can fetch", "plugin register"},
		{"no plugin on a member", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Plugin = func() (Plugin, error) { return Plugin{Nothing: true}, nil }
			h.Joined = func() (bool, error) { return true, nil }
		}, "plugin", Warning, "this host's own account", "plugin register"},
		{"broken registration", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Plugin = func() (Plugin, error) {
				return Plugin{Differences: []Difference{{true, "is missing", "register it"}}}, nil
			}
		}, "plugin", Failed, "is missing", "register it"},
		{"broken registration is not called", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Plugin = func() (Plugin, error) {
				return Plugin{Differences: []Difference{{true, "is missing", "register it"}}}, nil
			}
		}, "plugin call", Skipped, "broken", ""},
		{"plugin does not reach the agent", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.PluginCall = func(context.Context) (PluginCall, error) {
				return PluginCall{Result: "GMSA_E_NO_AGENT", Meaning: "Nobody serves it.", Remedy: "Start it: `gmsa-agent service start`."}, nil
			}
		}, "plugin call", Failed, "GMSA_E_NO_AGENT: Nobody", "Start it: gmsa-agent service start."},
		{"old Windows", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.CCG = func() error { return fmt.Errorf("build 17763: %w", errors.ErrUnsupported) }
		}, "ccg", Failed, "17763", "cmd /c ver"},
		{"no Windows", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Windows, h.CCG = false, func() error { return errors.ErrUnsupported }
		}, "ccg", Skipped, "", ""},
		{"no event source", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.EventSource = func() ([]string, error) { return []string{"EventMessageFile is missing"}, nil }
		}, "event source", Warning, "EventMessageFile", "service install"},
		{"required membership", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Config.Policy.HostAccount = config.HostAccountRequire
		}, "domain membership", Failed, "no member", "policy.host_account"},
		{"missing secret", func(_ *Host, s *fakeStores, _ *fakeDomain, _ *agent.Status) { s.domains = nil },
			"secret local://contoso", Failed, "not found", "the error's"},
		{"secret of another domain", func(_ *Host, s *fakeStores, _ *fakeDomain, _ *agent.Status) {
			s.domains["local://contoso"] = "fabrikam.com"
		}, "secret local://contoso", Failed, "of the domain fabrikam.com", "secret check local://contoso"},
		{"odd secret", func(h *Host, s *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Config.Secrets.Serve, s.domains["local://odd"] = []config.Serve{{Domain: "contoso.com", Secret: "local://odd"}}, "contoso.com"
		}, "secret local://odd", Warning, "line end", "secret check local://odd"},
		{"a NetBIOS name alone", func(h *Host, _ *fakeStores, _ *fakeDomain, _ *agent.Status) {
			h.Config.Secrets.Serve[0].Domain = "FABRIKAM"
		},
			"domain FABRIKAM", Skipped, "NetBIOS", "directory.domains"},
		{"no domain controller", func(_ *Host, _ *fakeStores, d *fakeDomain, _ *agent.Status) { d.find = broken },
			"domain contoso.com", Failed, "broken", "of contoso.com"},
		{"clocks far apart", func(_ *Host, _ *fakeStores, d *fakeDomain, _ *agent.Status) { d.clock = broken },
			"domain contoso.com clock", Failed, "broken", "of contoso.com"},
		{"clocks apart", func(_ *Host, _ *fakeStores, d *fakeDomain, _ *agent.Status) { d.ahead = -2 * time.Minute },
			"domain contoso.com clock", Warning, "2m0s behind", "of contoso.com"},
		{"no LDAP", func(_ *Host, _ *fakeStores, d *fakeDomain, _ *agent.Status) { d.transport = broken },
			"domain contoso.com ldap", Failed, "broken", "of contoso.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, stores, domain, status := well()
			c.breaks(h, stores, domain, status)
			expect(t, find(t, look(t, h), c.check), c.state, c.says, c.hint)
		})
	}
}

func TestAnAgentWithAnOlderConfigurationSaysSo(t *testing.T) {
	h, _, _, status := well()
	status.Config.Error = "line 3"
	for _, f := range look(t, h) {
		if f.Check == "agent" && f.State == Failed {
			expect(t, f, Failed, "line 3", "config validate")
			return
		}
	}
	t.Error("nothing is said")
}

func TestWithoutAConfigurationTheRestIsLookedAt(t *testing.T) {
	h, _, _, _ := well()
	h.Config, h.ConfigError = nil, errors.New("line 3")
	found := look(t, h)
	expect(t, find(t, found, "configuration"), Failed, "line 3", "the error's")
	expect(t, find(t, found, "secrets and domains"), Skipped, "configuration", "")
	expect(t, find(t, found, "agent"), OK, "process 7", "")
}

func TestNoMoreSecretsAreFetchedThanAStoreBears(t *testing.T) {
	h, stores, _, _ := well()
	for i := range maxSecrets + 5 {
		ref := secrets.Ref{Scheme: "local", Rest: fmt.Sprint("s", i)}
		stores.listed = append(stores.listed, secrets.Entry{Ref: ref, Domain: "contoso.com"})
		stores.domains[ref.String()] = "contoso.com"
	}
	fetched := 0
	found := look(t, h)
	for _, f := range found {
		if strings.HasPrefix(f.Check, "secret ") {
			fetched++
		}
	}
	if fetched != maxSecrets {
		t.Errorf("%d were fetched", fetched)
	}
	expect(t, find(t, found, "secrets"), Skipped, "6 are not", "secret check REF")
}
