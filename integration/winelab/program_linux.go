package winelab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Command returns a command that runs a Windows program in the lab: exe is the
// path of a file of this machine, a Windows path, or the name of one of Wine's
// own programs ("reg.exe"). The program dies when ctx ends.
func (l *Lab) Command(ctx context.Context, exe string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.wine, append([]string{exe}, args...)...)
	cmd.Env = slices.Clone(l.env)
	// A grandchild may keep the output open for ever.
	cmd.WaitDelay = time.Second
	return cmd
}

// Program says how to start a Windows program that keeps running.
type Program struct {
	Exe   string // as for Command
	Args  []string
	Env   []string // more than the lab's own
	Dir   string   // a folder of this machine
	Stdin io.Reader
	Log   string // the file's name within the lab; empty: the program's
}

// StartProcess starts a program. Its output goes to a log; see LogPath.
func (l *Lab) StartProcess(p Program) (*lab.Process, error) {
	if p.Log == "" {
		p.Log = strings.TrimSuffix(filepath.Base(strings.ReplaceAll(p.Exe, `\`, "/")), ".exe") + ".log"
	}
	return lab.Start(lab.Options{
		Path: l.wine, Args: append([]string{p.Exe}, p.Args...), Env: append(slices.Clone(l.env), p.Env...),
		Dir: p.Dir, Stdin: p.Stdin, Log: l.LogPath(p.Log),
	})
}

// LogPath returns where the log of that name is. It goes with the lab.
func (l *Lab) LogPath(name string) string { return filepath.Join(l.dir, name) }

// KillImage ends all programs of the lab with that file name, as
// TerminateProcess does. Nothing to end is no error.
func (l *Lab) KillImage(ctx context.Context, name string) error {
	cmd := l.Command(ctx, "taskkill.exe", "/f", "/im", name)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == taskkillNoSuch {
		return nil
	}
	if err != nil {
		return fmt.Errorf("taskkill %s: %w: %s", name, err, out)
	}
	return nil
}

// taskkillNoSuch is taskkill's exit code for a process that does not exist.
const taskkillNoSuch = 128

// run runs cmd and puts its output into its error. The output goes through a
// file, because what the first program of a prefix starts keeps it open.
func (l *Lab) run(cmd *exec.Cmd) error {
	f, err := os.CreateTemp(l.dir, "run-*.log")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // goes with the lab
	defer f.Close()           //nolint:errcheck // only the program writes to it
	cmd.Stdout, cmd.Stderr = f, f
	if err := cmd.Run(); err != nil {
		out, _ := os.ReadFile(f.Name()) // the first error matters more
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args[1:], " "), err, bytes.TrimSpace(out))
	}
	return nil
}
