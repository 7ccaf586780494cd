package chainlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab/proxystub"
)

// Folders of the agent on the lab's drive.
const (
	agentFolder   = `C:\Program Files\gmsa-agent`
	wrapperFolder = agentFolder + `\shim`
	dataFolder    = `C:\ProgramData\gmsa-agent`
	configFile    = dataFolder + `\config.yaml`

	// SpecFolder is where the agent's file:// source looks.
	SpecFolder = dataFolder + `\CredentialSpecs`
)

// The agent's pipes: the default names, spelled out, because plugs need them.
const (
	controlPipe = `\\.\pipe\ProtectedPrefix\Administrators\gmsa-agent\control`
	pluginPipe  = `\\.\pipe\ProtectedPrefix\Administrators\gmsa-agent\plugin`
)

// agentConfig is what is the lab's in the agent's configuration. Under Wine
// there is one user, an administrator, also for CCG's plugin host; and COM's
// surrogate lies in the folder of the 32-bit half of Windows.
const agentConfig = `state_dir: '` + dataFolder + `'
channels:
  control:
    endpoint: '` + controlPipe + `'
  plugin:
    endpoint: '` + pluginPipe + `'
    users: [S-1-5-32-544]
    images: ['C:\windows\syswow64\dllhost.exe']
containerd:
  - address: '` + containerdPipe + `'
    namespaces: [` + Namespace + `]
    state_dir: '` + containerdState + `'
credential_specs:
  folders: ['` + SpecFolder + `']
`

// Agent says how the agent is set up.
type Agent struct {
	// Config is appended to the lab's part of the agent's configuration, which
	// has the keys state_dir, channels, containerd and credential_specs.
	Config string
	// Specs are files of SpecFolder, by name.
	Specs map[string][]byte
	// Packages are versions whose packages are unpacked on the host. With any,
	// nothing is installed and no agent is started: that is for Service to do.
	Packages []string
}

// installAgent builds the project's programs for Windows, as they are released,
// and registers the plugin.
func (l *Lab) installAgent(ctx context.Context, a *Agent) error {
	if len(a.Packages) > 0 {
		return l.prepareService(ctx, a)
	}
	for _, dir := range []string{agentFolder, wrapperFolder} {
		if err := os.MkdirAll(l.Path(dir), 0o700); err != nil {
			return err
		}
	}
	if err := l.writeAgentConfig(a); err != nil {
		return err
	}
	if err := winelab.Build(ctx, agentPackage, l.Path(agentFolder+`\gmsa-agent.exe`), stripped); err != nil {
		return err
	}
	if err := winelab.Build(ctx, wrapperPackage, l.Path(wrapperFolder+`\`+shimName), stripped); err != nil {
		return err
	}
	plugin := l.Path(agentFolder + `\ccg-plugin.dll`)
	if err := winelab.BuildDLL(ctx, pluginPackage, plugin); err != nil {
		return err
	}
	if err := proxystub.Install(ctx, l.Lab); err != nil {
		return err
	}
	return l.RegisterDLL(ctx, plugin)
}

// writeAgentConfig writes what administrators write: the configuration and the
// credential specs.
func (l *Lab) writeAgentConfig(a *Agent) error {
	for _, dir := range []string{dataFolder, SpecFolder} {
		if err := os.MkdirAll(l.Path(dir), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(l.Path(configFile), []byte(agentConfig+a.Config), 0o600); err != nil {
		return err
	}
	for name, data := range a.Specs {
		if err := os.WriteFile(filepath.Join(l.Path(SpecFolder), name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// StartAgent starts the agent and waits until it answers. Start has done so.
func (l *Lab) StartAgent(ctx context.Context) error {
	var err error
	l.agent, err = l.StartProcess(winelab.Program{
		Exe:  l.Path(agentFolder + `\gmsa-agent.exe`),
		Args: []string{"--config", configFile, "run"},
		Log:  agentLog,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // a healthy one takes half a second
	defer cancel()
	if l.agentPlugs, err = l.plug(ctx, controlPipe, pluginPipe); err != nil {
		return errors.Join(err, l.agent.Exited())
	}
	return lab.WaitFor(ctx, "the agent", func(ctx context.Context) error {
		if err := l.agent.Exited(); err != nil {
			return err
		}
		_, err := l.CLI(ctx, nil, "status")
		return err
	})
}

// KillAgent kills the agent as a crash does.
func (l *Lab) KillAgent() { l.kill(l.agent, l.agentPlugs) }

const agentLog = "agent.log"

// AgentLog is where the agent's log is while the lab runs.
func (l *Lab) AgentLog() string { return l.LogPath(agentLog) }

// AuditTrail is where the agent's audit trail is while the lab runs.
func (l *Lab) AuditTrail() string { return l.Path(dataFolder + `\audit.jsonl`) }

// CLI runs gmsa-agent.exe against the lab's agent and returns its standard
// output. The error holds its standard error.
func (l *Lab) CLI(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	cmd := l.Command(ctx, l.Path(agentFolder+`\gmsa-agent.exe`), append([]string{"--config", configFile}, args...)...)
	cmd.Stdin = stdin
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("exit code %d: %s", exit.ExitCode(), strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return string(out), fmt.Errorf("gmsa-agent %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}
