package doctor

import (
	"context"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Host is how the doctor looks at this host. What the platform does not have
// answers with an error that wraps [errors.ErrUnsupported].
type Host struct {
	Version string // this program's
	Windows bool   // containers of this host can have a gMSA at all

	Config      *config.Config // nil: it cannot be read
	ConfigError error          // why
	Trusted     func() error   // says who else could change the file

	// Folder says why a folder is not the agent's alone; one that is not there
	// is an error that wraps [fs.ErrNotExist]. It makes none.
	Folder func(path string) error

	Service       func(context.Context) (*service.Status, error)
	Agent         func(context.Context) (agent.Status, error) // asks the running one
	PluginChannel func(context.Context) error                 // connects, and tells whether it is the agent who serves
	Plugin        func() (Plugin, error)
	PluginCall    func(context.Context) (PluginCall, error)
	CCG           func() error // why this system has none
	EventSource   func() (problems []string, err error)
	Joined        func() (bool, error)

	Secrets func() (Secrets, error)
	Domain  func(dns string) (Domain, error)

	// Again is a command of ours as it is to be typed here.
	Again func(command string) string
	// Hint is the advice on an error; empty if there is none.
	Hint func(error) string
	// DomainHint is the advice on what a domain's controllers said.
	DomainHint func(domain string, err error) string
}

// Plugin is the registration of CCG's plugin beside what it should be.
type Plugin struct {
	DLL         string // empty: none is registered
	Nothing     bool   // there is no trace of a registration
	Differences []Difference
}

// Difference is one thing about the registration.
type Difference struct {
	Broken  bool // CCG cannot use the plugin, or somebody else could exchange it
	Problem string
	Remedy  string
}

// PluginCall is what came of an activation of the plugin as CCG does it.
type PluginCall struct {
	Reached bool // the agent answered
	Result  string
	Meaning string
	Remedy  string
	Took    time.Duration
}

// Secrets are the stores.
type Secrets interface {
	Fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error)
	List(ctx context.Context) ([]secrets.Entry, error) // the local store's
}

// Domain asks the controllers of one domain; [*directory.Client] does.
type Domain interface {
	FindController(context.Context) (*directory.Controller, error)
	Clock(context.Context, *directory.Controller) (time.Duration, error)
	Transport(context.Context, *directory.Controller) (string, error)
}

// Checks are all of them, in the order in which a container's request goes.
func (h *Host) Checks() []Check {
	checks := []Check{{Name: "configuration", Look: h.configuration}}
	if h.Config != nil {
		checks = append(checks, Check{Name: "state folder", Look: h.folder(h.Config.StateDir)})
	}
	checks = append(checks, Check{Name: "service", Look: h.service}, Check{Name: "agent", Look: h.agent})
	if h.Config != nil {
		checks = append(checks, Check{Name: "plugin channel", Look: h.pluginChannel})
	}
	checks = append(checks, Check{Name: "plugin", Look: h.plugin}, Check{Name: "ccg", Look: h.ccg}, Check{Name: "event source", Look: h.eventSource})
	if h.Config == nil {
		return append(checks, Check{Name: "secrets and domains", Look: func(context.Context) []Finding {
			return []Finding{skipped("", "which there are is in the configuration, which cannot be read")}
		}})
	}
	return append(append(append(checks, Check{Name: "domain membership", Look: h.membership}), h.secretChecks()...), h.domainChecks()...)
}
