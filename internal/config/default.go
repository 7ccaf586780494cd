package config

import (
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// platform is what the defaults depend on.
type platform struct {
	goos   string
	getenv func(string) string
}

var host = platform{runtime.GOOS, os.Getenv}

// Default is the configuration of a host without a configuration file.
func Default() *Config { return host.defaults() }

// DefaultPath is where the configuration file is looked for when none is named.
func DefaultPath() string {
	if host.goos == "windows" {
		return join(host.programData(), "gmsa-agent", "config.yaml")
	}
	return "/etc/gmsa-agent/config.yaml"
}

func (p platform) defaults() *Config {
	c := p.plain()
	p.complete(c)
	return c
}

// plain has the defaults that do not follow from other settings.
func (p platform) plain() *Config {
	c := &Config{
		StateDir: "/var/lib/gmsa-agent",
		Audit: Audit{
			MaxSize: audit.DefaultMaxSize,
			Keep:    audit.DefaultKeep,
		},
		Secrets: Secrets{
			// A burst of containers is one fetch; a changed password is
			// picked up before a person would try again a second time.
			Cache:            Cache{TTL: 5 * time.Minute},
			AzureKeyVault:    AzureKeyVault{Identity: AzureSystem},
			Vault:            Vault{Auth: VaultAuth{Method: VaultToken}},
			GCPSecretManager: GCPSecretManager{Credentials: GCPMetadata},
		},
		CredentialSpecs: CredentialSpecs{
			// A container's start must fail before its runtime gives up on it.
			Timeout: 10 * time.Second,
			Cache: SpecCache{
				// A burst of containers asks once; who changes a document
				// and tries again by hand gets the new one.
				Fresh: 30 * time.Second,
				// A source that is down on Friday evening is mended on Monday.
				Stale: 72 * time.Hour,
			},
		},
		CCG: CCG{
			Reap:     true,
			Interval: time.Minute,
			// A runtime that is restarted, or a host that is upgraded, is back by then.
			Grace: 10 * time.Minute,
		},
		Docker: Docker{
			Enabled: EnabledAuto,
			// What changes in a folder of this host is there within a second; a
			// server is asked as often as a cached document counts as fresh.
			Refresh: DockerRefresh{Local: 500 * time.Millisecond, HTTPS: 500 * time.Millisecond, Remote: 30 * time.Second},
		},
		AWS:          AWS{Credentials: AWSInstance},
		Policy:       Policy{HostAccount: HostAccountAllow},
		DomainJoined: JoinedAuto,
		Log:          Log{Level: LevelInfo, Format: FormatText},
		EventLog:     EventLog{Level: EventInfo},
	}
	if p.goos == "windows" {
		c.StateDir = join(p.programData(), "gmsa-agent")
	}
	return c
}

// complete fills in what is still absent and follows from the platform or from
// other settings. A list that was given as empty stays empty.
func (p platform) complete(c *Config) {
	fill(&c.Audit.File, join(c.StateDir, "audit.jsonl"))
	fill(&c.Secrets.Local.Dir, join(c.StateDir, "secrets"))
	fill(&c.CredentialSpecs.Cache.Dir, join(c.StateDir, "credential-specs"))
	if c.CredentialSpecs.Folders == nil {
		c.CredentialSpecs.Folders = p.specFolders()
	}
	if c.Containerd == nil {
		c.Containerd, c.assumed = []Containerd{{}}, true
	}
	fill(&c.Docker.Endpoint, p.dockerEndpoint())
	for i := range c.Containerd {
		fill(&c.Containerd[i].Address, p.containerdAddress())
		if c.Containerd[i].Inject == "" {
			c.Containerd[i].Inject = InjectAuto
		}
	}
}

func fill(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

// specFolders is our folder, and Docker's as dockerd's default data root has it.
func (p platform) specFolders() []string {
	if p.goos == "windows" {
		return []string{
			join(p.programData(), "gmsa-agent", "CredentialSpecs"),
			join(p.programData(), "docker", "CredentialSpecs"),
		}
	}
	return []string{"/etc/gmsa-agent/credential-specs"}
}

// containerdAddress is containerd's own default (its defaults package).
func (p platform) containerdAddress() string {
	if p.goos == "windows" {
		return `\\.\pipe\containerd-containerd`
	}
	return "/run/containerd/containerd.sock"
}

// dockerEndpoint is the docker command's own default.
func (p platform) dockerEndpoint() string {
	if p.goos == "windows" {
		return "npipe:////./pipe/docker_engine"
	}
	return "unix:///var/run/docker.sock"
}

func (p platform) programData() string {
	if dir := p.getenv("ProgramData"); dir != "" {
		return dir
	}
	return `C:\ProgramData`
}

// join joins with the separator that dir itself uses: a file for a Windows
// host is also read, and checked, on other systems.
func join(dir string, elem ...string) string {
	sep := "/"
	if isWindowsPath(dir) {
		sep = `\`
	}
	return strings.TrimRight(dir, sep) + sep + strings.Join(elem, sep)
}
