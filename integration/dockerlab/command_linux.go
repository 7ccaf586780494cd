package dockerlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// Command is a command of Docker's command line. It has a configuration folder
// of its own, which is empty.
func (l *Lab) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/docker", args...)
	cmd.Env = l.environment()
	return cmd
}

// Compose is a command of docker-compose in a folder with a compose file.
func (l *Lab) Compose(ctx context.Context, folder string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/docker-compose", args...)
	cmd.Dir, cmd.Env = folder, l.environment()
	return cmd
}

func (l *Lab) environment() []string {
	return []string{
		"PATH=/usr/bin:/bin", "HOME=" + l.dir, "LC_ALL=C.UTF-8",
		"DOCKER_HOST=unix://" + l.Socket(), "DOCKER_CONFIG=" + l.Path("config"),
	}
}

// Docker runs Docker's command line and returns its standard output. The error
// is what it printed on standard error, which is what a user sees, and nothing
// else where that ended it.
func (l *Lab) Docker(ctx context.Context, args ...string) (string, error) {
	out, err := l.Command(ctx, args...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = &CommandError{Code: exit.ExitCode(), Text: strings.TrimSpace(string(exit.Stderr))}
	}
	return strings.TrimSpace(string(out)), err
}

// CommandError is how a command of Docker's command line failed.
type CommandError struct {
	Code int    // the exit code
	Text string // what it printed on standard error
}

// Line is the first line of it. More than that is advice of the command line.
func (e *CommandError) Line() string {
	line, _, _ := strings.Cut(e.Text, "\n")
	return line
}

func (e *CommandError) Error() string { return fmt.Sprintf("%s (exit code %d)", e.Text, e.Code) }

// API is a client of dockerd's API, in which every host is dockerd.
func (l *Lab) API() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", l.Socket())
		},
		DisableCompression: true,
	}}
}

// answers says whether dockerd answers, whatever it says.
func (l *Lab) answers(ctx context.Context) error {
	if _, err := os.Stat(l.Socket()); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", nil)
	if err != nil {
		return err
	}
	client := l.API()
	defer client.CloseIdleConnections()
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return errors.Join(err, answer.Body.Close())
}
