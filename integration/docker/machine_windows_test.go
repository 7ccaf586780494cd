package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"
)

// The suites run as an administrator, against the host's Docker, and restart it.
// They need an image of which containers can be run, named in GMSA_DOCKER_IMAGE
// (mcr.microsoft.com/windows/servercore:ltsc2022, say), an agent that does not run
// as a service, and a dockerd whose daemon.json names the plugin gmsa-agent; it
// waits for the gate while the suite starts that. Compose is the plugin of
// Docker's command line.

// parallel: there is one dockerd.
const parallel = false

var named = os.Getenv("GMSA_DOCKER_IMAGE")

func whyNone() error {
	return errors.New("GMSA_DOCKER_IMAGE does not name an image that this host can run; see machine_windows_test.go")
}

func machines() map[string]func(*testing.T) machine {
	if named == "" {
		return nil
	}
	return map[string]func(*testing.T) machine{"host": func(*testing.T) machine { return hostMachine{} }}
}

// hostMachine is the Docker of this host.
type hostMachine struct{}

func (hostMachine) docker(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", args...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = &dockerError{exit.ExitCode(), strings.TrimSpace(string(exit.Stderr))}
	}
	return strings.TrimSpace(string(out)), err
}

func (hostMachine) compose(ctx context.Context, folder string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose"}, args...)...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	return string(out), err
}

const enginePipe = `\\.\pipe\docker_engine`

func (hostMachine) api() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return winio.DialPipeContext(ctx, enginePipe)
	}}}
}

func (hostMachine) endpoint() string { return "npipe:////./pipe/docker_engine" }

func (m hostMachine) root() string {
	root, err := m.docker(context.Background(), "info", "--format", "{{.DockerRootDir}}")
	if err != nil {
		return os.Getenv("ProgramData") + `\docker`
	}
	return root
}

func (hostMachine) gate() string { return `\\.\pipe\ProtectedPrefix\Administrators\gmsa-agent\docker` }

func (hostMachine) channel(name string) string {
	return fmt.Sprintf(`\\.\pipe\gmsa-agent-suite-%d-%s`, os.Getpid(), name)
}

func (m hostMachine) gated(ctx context.Context) error { return m.restart(ctx) }

func (m hostMachine) restart(ctx context.Context) error {
	if out, err := exec.CommandContext(ctx, "powershell", "-NoProfile", "-Command", "Restart-Service docker").CombinedOutput(); err != nil {
		return fmt.Errorf("restart the service docker: %w: %s", err, out)
	}
	_, err := m.docker(ctx, "version")
	return err
}

func (hostMachine) image() string      { return named }
func (hostMachine) run() []string      { return []string{named, "ping", "-t", "localhost"} }
func (hostMachine) fails() []string    { return []string{named, "cmd", "/c", "exit 1"} }
func (m hostMachine) mortal() []string { return m.run() }
func (hostMachine) suicide() []string  { return []string{"taskkill", "/f", "/im", "ping.exe"} }

func (hostMachine) asks(file string) []string {
	return []string{"--security-opt", "credentialspec=file://" + file}
}

func (hostMachine) composed(file string) string {
	return "    credential_spec:\n      file: " + file + "\n"
}

// hostProcess ends with the test at the latest: newHost kills it.
type hostProcess struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

func (hostMachine) start(path string, args []string, log string) (process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // the child has its own handle
	p := &hostProcess{cmd: exec.Command(path, args...), log: log, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = f, f
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *hostProcess) Kill() {
	_ = p.cmd.Process.Kill() // already gone is what we want
	<-p.done
}

func (p *hostProcess) Exited() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended: %v: %s", p.cmd.Path, p.err, p.LogTail())
	default:
		return nil
	}
}

func (p *hostProcess) LogTail() string {
	data, _ := os.ReadFile(p.log) // for people
	return string(bytes.TrimSpace(data[max(0, len(data)-2048):]))
}

var (
	ntdll   = windows.NewLazySystemDLL("ntdll.dll")
	suspend = ntdll.NewProc("NtSuspendProcess")
	resume  = ntdll.NewProc("NtResumeProcess")
)

func (p *hostProcess) Pause() error  { return p.all(suspend) }
func (p *hostProcess) Resume() error { return p.all(resume) }

// all calls one of the functions that suspend and resume all threads of a process.
func (p *hostProcess) all(f *windows.LazyProc) error {
	handle, err := windows.OpenProcess(windows.PROCESS_SUSPEND_RESUME, false, uint32(p.cmd.Process.Pid))
	if err != nil {
		return err
	}
	defer windows.CloseHandle(handle) //nolint:errcheck // only opened for this
	if status, _, _ := f.Call(uintptr(handle)); status != 0 {
		return fmt.Errorf("%s: %w", f.Name, windows.NTStatus(status))
	}
	return nil
}
