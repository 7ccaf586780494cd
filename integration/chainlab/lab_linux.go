package chainlab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/ccgdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/guestdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/hcsdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// Folders of the lab's drive.
const (
	binFolder    = `C:\containerd\bin`
	layersFolder = `C:\layers`
	stateFolder  = `C:\hcsdouble`

	containerdState = `C:\containerd\state`

	ccgProgram = `C:\windows\system32\ccg.exe`
	ccgConfig  = `C:\hcsdouble\ccg.json`
)

// shimName is the file name that containerd makes of the runtime's name.
const shimName = "containerd-shim-runhcs-v1.exe"

// Pipes that containerd listens on.
const (
	containerdPipe      = `\\.\pipe\containerd-containerd`
	containerdTTRPCPipe = `\\.\pipe\containerd-containerd.ttrpc`
)

// containerdConfig is the smallest one that keeps to the lab's own folders.
const containerdConfig = `version = 3
root = 'C:\containerd\root'
state = '` + containerdState + `'
[debug]
  level = "debug"
[grpc]
  address = '` + containerdPipe + `'
[ttrpc]
  address = '` + containerdTTRPCPipe + `'
`

// Options say what of the stack is started and how.
type Options struct {
	Report lab.Reporter // nil: silent

	// Build is the Windows build that the host presents; 0 means 20348, Windows
	// Server 2022. Builds below 17763 make hcsshim speak HCS's schema 1.
	Build int

	// HyperV makes the lab's shim one that can make utility VMs; see HyperVShim.
	HyperV bool

	// ProcessLife is how long a container's process lives by itself; 0 means
	// until it is killed.
	ProcessLife time.Duration

	// CCG says how the CCG double reaches the domains. Paths in it are this
	// machine's.
	CCG ccgdouble.Config

	// Agent puts the agent, the shim wrapper and the plugin into the stack; nil
	// leaves the real shim alone.
	Agent *Agent
}

// Lab is the running stack.
type Lab struct {
	*winelab.Lab

	report    lab.Reporter
	withAgent bool
	guest     *guestdouble.Guest // nil: no utility VMs

	containerd, agent           *lab.Process
	containerdPlugs, agentPlugs []*winelab.Plug
}

// Start starts the stack. The caller calls Stop.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	if o.Report == nil {
		o.Report = func(string, ...any) {}
	}
	env := []string{
		ccgdouble.EnvConfig + "=" + ccgConfig,
		hcsdouble.EnvState + "=" + stateFolder,
		hcsdouble.EnvCCG + "=" + ccgProgram,
		hcsdouble.EnvProcess + "=" + strconv.FormatInt(o.ProcessLife.Milliseconds(), 10),
	}
	var guest *guestdouble.Guest
	if o.HyperV {
		var err error
		if guest, err = guestdouble.Start(); err != nil {
			return nil, err
		}
		env = append(env, envGuest+"="+guest.Addr())
	}
	w, err := winelab.Start(ctx, winelab.Options{Env: env})
	if err != nil {
		if guest != nil {
			err = errors.Join(err, guest.Close())
		}
		return nil, err
	}
	l := &Lab{Lab: w, report: o.Report, withAgent: o.Agent != nil, guest: guest}
	if err := l.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the chain lab: %w", err), l.Stop())
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context, o Options) error {
	type stage struct {
		name string
		do   func(context.Context) error
	}
	stages := []stage{
		{"containerd " + containerdVersion + " and runhcs shim " + hcsshimVersion + " installed", l.installPrograms},
		{"HCS double and CCG double installed", func(ctx context.Context) error { return l.installDoubles(ctx, o.CCG) }},
		{"host prepared", func(ctx context.Context) error { return l.prepareHost(ctx, o.Build) }},
	}
	if o.HyperV {
		stages = append(stages, stage{"shim and image layer of Hyper-V isolation", l.prepareUtilityVM})
	}
	if o.Agent != nil {
		stages = append(stages, stage{"agent, shim wrapper and CCG plugin installed",
			func(ctx context.Context) error { return l.installAgent(ctx, o.Agent) }})
	}
	stages = append(stages, stage{"containerd.exe answers", l.StartContainerd})
	if o.Agent != nil && len(o.Agent.Packages) == 0 {
		stages = append(stages, stage{"gmsa-agent.exe answers", l.StartAgent})
	}
	for _, s := range stages {
		began := time.Now()
		if err := s.do(ctx); err != nil {
			return err
		}
		l.report("%s (%v)", s.name, time.Since(began).Round(10*time.Millisecond))
	}
	return nil
}

// prepareHost makes the layers, and the build of Windows where it is not the
// template's.
func (l *Lab) prepareHost(ctx context.Context, build int) error {
	if build != 0 {
		if err := l.SetBuild(ctx, build); err != nil {
			return err
		}
	}
	return l.makeLayers()
}

// SetBuild changes the Windows build that the host presents to programs that
// are started from now on; a shim is started for each container.
func (l *Lab) SetBuild(ctx context.Context, build int) error {
	for _, name := range []string{"CurrentBuild", "CurrentBuildNumber"} {
		if err := l.SetString(ctx, `HKLM\Software\Microsoft\Windows NT\CurrentVersion`, name, strconv.Itoa(build)); err != nil {
			return err
		}
	}
	return nil
}

// installDoubles builds the doubles of HCS and CCG.
func (l *Lab) installDoubles(ctx context.Context, cfg ccgdouble.Config) error {
	for _, double := range []func(context.Context) (string, error){hcsdouble.DLL, hcsdouble.Computecore} {
		dll, err := double(ctx)
		if err != nil {
			return err
		}
		if err := l.InstallDLL(dll); err != nil {
			return err
		}
	}
	domains := map[string]directory.Config{}
	for name, d := range cfg.Domains {
		if d.CAFile != "" {
			d.CAFile = l.WindowsPath(d.CAFile)
		}
		domains[name] = d
	}
	data, err := json.Marshal(ccgdouble.Config{Domains: domains})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(l.Path(stateFolder), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(l.Path(ccgConfig), data, 0o600); err != nil {
		return err
	}
	return winelab.Build(ctx, ccgPackage, l.Path(ccgProgram), stripped)
}

// installPrograms puts the real programs into one folder, as containerd's own
// package does. In the real shim's place is plugshim, and the real shim below it.
func (l *Lab) installPrograms(ctx context.Context) error {
	for _, p := range programs {
		folder := binFolder
		if p.exe() == shimName {
			folder += `\real`
		}
		if err := l.Install(p.path(), folder); err != nil {
			return err
		}
	}
	plug, err := winelab.PlugProgram(ctx)
	if err != nil {
		return err
	}
	if err := l.InstallAs(plug, binFolder+`\plug.exe`); err != nil {
		return err
	}
	return winelab.Build(ctx, plugshimPackage, l.Path(binFolder+`\`+shimName), stripped)
}

// makeLayers makes an image layer and a scratch layer as hcsshim wants to see
// them. They hold nothing.
func (l *Lab) makeLayers() error {
	for _, dir := range []string{"base", "scratch"} {
		if err := os.MkdirAll(l.Path(layersFolder+`\`+dir), 0o700); err != nil {
			return err
		}
	}
	return os.WriteFile(l.Path(layersFolder+`\scratch\sandbox.vhdx`), nil, 0o600)
}

// StartContainerd starts containerd, which Start has done already.
func (l *Lab) StartContainerd(ctx context.Context) error {
	config := l.Path(`C:\containerd\config.toml`)
	if err := os.WriteFile(config, []byte(containerdConfig), 0o600); err != nil {
		return err
	}
	var env []string
	if l.withAgent {
		// containerd takes a runtime that is given by name from PATH before it
		// looks into its own folder. (The CRI plugin's runtime_path, which real
		// hosts set, comes before both.)
		env = []string{"WINEPATH=" + wrapperFolder}
	}
	var err error
	l.containerd, err = l.StartProcess(winelab.Program{
		Exe:  l.Path(binFolder + `\containerd.exe`),
		Args: []string{"--config", l.WindowsPath(config)},
		Env:  env,
		Log:  containerdLog,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // a healthy one takes a second
	defer cancel()
	if l.containerdPlugs, err = l.plug(ctx, containerdPipe, containerdTTRPCPipe); err != nil {
		return errors.Join(err, l.containerd.Exited())
	}
	return lab.WaitFor(ctx, "containerd", func(ctx context.Context) error {
		if err := l.containerd.Exited(); err != nil {
			return err
		}
		_, err := l.Ctr(ctx, "version")
		return err
	})
}

// Ctr runs ctr.exe in the lab's namespace and returns its standard output. The
// error holds what it printed on standard error, which is what a user sees.
//
// ctr opens the pipe once to see whether it is there, and gives up where all
// its instances are taken for the moment; then it is run again.
func (l *Lab) Ctr(ctx context.Context, args ...string) (string, error) {
	var out string
	var failed error
	err := lab.WaitFor(ctx, "a free instance of containerd's pipe", func(ctx context.Context) error {
		if out, failed = l.ctr(ctx, args...); failed != nil && strings.Contains(failed.Error(), "Pipe busy") {
			return failed
		}
		return nil
	})
	return out, cmp.Or(err, failed)
}

func (l *Lab) ctr(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"--address", containerdPipe, "--namespace", Namespace}, args...)
	cmd := l.Command(ctx, l.Path(binFolder+`\ctr.exe`), args...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%s", strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return string(out), fmt.Errorf("ctr %s: %w", strings.Join(args[4:], " "), err)
	}
	return string(out), nil
}

// Stop ends the lab; see winelab.Lab.Stop.
func (l *Lab) Stop() error {
	if l == nil {
		return nil
	}
	err := l.Lab.Stop()
	if l.guest != nil {
		err = errors.Join(err, l.guest.Close())
	}
	return err
}

// KillContainerd kills containerd, as a crash does. Shims and containers go on.
func (l *Lab) KillContainerd() { l.kill(l.containerd, l.containerdPlugs) }

// KillShims kills the shims of all containers, as a crash does.
func (l *Lab) KillShims(ctx context.Context) error {
	if out, err := l.Command(ctx, "taskkill.exe", "/f", "/im", shimName).CombinedOutput(); err != nil {
		return fmt.Errorf("taskkill: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// plug plugs the pipes of a program that was just started.
func (l *Lab) plug(ctx context.Context, pipes ...string) ([]*winelab.Plug, error) {
	var plugs []*winelab.Plug
	for _, pipe := range pipes {
		p, err := l.Plug(ctx, pipe)
		if err != nil {
			return plugs, err
		}
		plugs = append(plugs, p)
	}
	return plugs, nil
}

// kill kills a program and waits until its pipes are gone.
func (l *Lab) kill(p *lab.Process, plugs []*winelab.Plug) {
	p.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, plug := range plugs {
		plug.AwaitEnd(ctx)
	}
}

// ContainerdLog is where containerd's log is while the lab runs.
func (l *Lab) ContainerdLog() string { return l.LogPath(containerdLog) }

func (l *Lab) containerFile(id string) string {
	return l.LogPath(filepath.Base(id) + ".json")
}

// Logs writes the ends of the lab's logs and CCG's reports to w, for whom a
// test failed.
func (l *Lab) Logs(w io.Writer) {
	for _, name := range []string{containerdLog, agentLog} {
		data, err := os.ReadFile(l.LogPath(name))
		if err != nil {
			continue // not started
		}
		fmt.Fprintf(w, "--- %s\n%s\n", name, data[max(0, len(data)-maxLog):])
	}
	records, err := l.Records()
	if err != nil {
		fmt.Fprintf(w, "--- %v\n", err)
	}
	for _, r := range hcsdouble.Calls(records, hcsdouble.CallCCG, "") {
		fmt.Fprintf(w, "--- CCG for container %s: %s\n", r.ID, r.CCG)
	}
}

// maxLog is how much of a log Logs writes, in bytes.
const maxLog = 16 << 10

const containerdLog = "containerd.log"
