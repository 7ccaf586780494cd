package chainlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/hcsdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
)

// Folders of the lab's drive.
const (
	binFolder    = `C:\containerd\bin`
	layersFolder = `C:\layers`
	stateFolder  = `C:\hcsdouble`
	ccgProgram   = `C:\windows\system32\ccg.exe`
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
state = 'C:\containerd\state'
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

	// ProcessLife is how long a container's process lives by itself; 0 means
	// until it is killed.
	ProcessLife time.Duration
}

// Lab is the running stack.
type Lab struct {
	*winelab.Lab

	report     lab.Reporter
	containerd *lab.Process
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
		hcsdouble.EnvState + "=" + stateFolder,
		hcsdouble.EnvCCG + "=" + ccgProgram,
		hcsdouble.EnvProcess + "=" + strconv.FormatInt(o.ProcessLife.Milliseconds(), 10),
	}
	w, err := winelab.Start(ctx, winelab.Options{Env: env})
	if err != nil {
		return nil, err
	}
	l := &Lab{Lab: w, report: o.Report}
	if err := l.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the chain lab: %w", err), l.Stop())
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context, o Options) error {
	if err := l.installPrograms(ctx); err != nil {
		return err
	}
	if err := l.makeLayers(); err != nil {
		return err
	}
	dll, err := hcsdouble.DLL(ctx)
	if err != nil {
		return err
	}
	if err := l.InstallDLL(dll); err != nil {
		return err
	}
	if o.Build != 0 {
		for _, name := range []string{"CurrentBuild", "CurrentBuildNumber"} {
			if err := l.SetString(ctx, `HKLM\Software\Microsoft\Windows NT\CurrentVersion`, name, strconv.Itoa(o.Build)); err != nil {
				return err
			}
		}
	}
	return l.StartContainerd(ctx)
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
	return winelab.Build(ctx, "./integration/chainlab/plugshim", l.Path(binFolder+`\`+shimName))
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
	var err error
	l.containerd, err = l.StartProcess(winelab.Program{
		Exe:  l.Path(binFolder + `\containerd.exe`),
		Args: []string{"--config", l.WindowsPath(config)},
		Log:  "containerd.log",
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // a healthy one takes a second
	defer cancel()
	for _, pipe := range []string{containerdPipe, containerdTTRPCPipe} {
		if _, err := l.Plug(ctx, pipe); err != nil {
			return errors.Join(err, l.containerd.Exited())
		}
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
func (l *Lab) Ctr(ctx context.Context, args ...string) (string, error) {
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

// Records returns what HCS was sent so far.
func (l *Lab) Records() ([]hcsdouble.Record, error) { return hcsdouble.Read(l.Path(stateFolder)) }

// Stop ends the lab; see winelab.Lab.Stop.
func (l *Lab) Stop() error {
	if l == nil {
		return nil
	}
	return l.Lab.Stop()
}

// ContainerdLog is where containerd's log is while the lab runs.
func (l *Lab) ContainerdLog() string { return l.LogPath("containerd.log") }

func (l *Lab) containerFile(id string) string {
	return l.LogPath(filepath.Base(id) + ".json")
}
