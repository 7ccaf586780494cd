package chainlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab/proxystub"
)

// packagesFolder has the unpacked packages of versions that are not installed.
const packagesFolder = `C:\packages`

// ServiceConfig is the configuration that the service is installed with.
const ServiceConfig = configFile

// prepareService builds each version as its package has it. The versions'
// programs differ in their version and in what the linker stamps besides.
func (l *Lab) prepareService(ctx context.Context, a *Agent) error {
	if err := l.writeAgentConfig(a); err != nil {
		return err
	}
	for _, version := range a.Packages {
		folder := packagesFolder + `\` + version
		if err := os.MkdirAll(l.Path(folder+`\shim`), 0o700); err != nil {
			return err
		}
		stamp := " -buildid=" + version
		if err := winelab.Build(ctx, agentPackage, l.Path(folder+`\gmsa-agent.exe`), stripped+stamp+" -X main.stamped="+version); err != nil {
			return err
		}
		if err := winelab.Build(ctx, wrapperPackage, l.Path(folder+`\shim\`+shimName), stripped+stamp); err != nil {
			return err
		}
		// The last -ldflags count.
		if err := winelab.BuildDLL(ctx, pluginPackage, l.Path(folder+`\ccg-plugin.dll`), stripped+stamp); err != nil {
			return err
		}
	}
	return proxystub.Install(ctx, l.Lab)
}

// Service runs "gmsa-agent service" with the program of a version's package, and
// returns its standard output. The error holds its standard error.
func (l *Lab) Service(ctx context.Context, version string, args ...string) (string, error) {
	cmd := l.Command(ctx, l.Path(packagesFolder+`\`+version+`\gmsa-agent.exe`), append([]string{"service"}, args...)...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("exit code %d: %s", exit.ExitCode(), strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return string(out), fmt.Errorf("gmsa-agent service %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// PlugService keeps a plug in the agent's pipes until ctx ends, whatever starts
// the agent anew; see winelab.Lab.Plug.
func (l *Lab) PlugService(ctx context.Context) (wait func()) {
	done := make(chan struct{}, 2)
	for _, pipe := range []string{controlPipe, pluginPipe} {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				plug, err := l.Plug(ctx, pipe)
				if err != nil {
					continue // ctx has ended, or the pipe was gone at once
				}
				plug.AwaitEnd(ctx)
			}
		}()
	}
	return func() { <-done; <-done }
}
