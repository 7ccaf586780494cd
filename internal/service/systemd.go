package service

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// UnitFolder is where administrators' units are (systemd.unit(5)).
const UnitFolder = "/etc/systemd/system"

// maxUnit bounds a unit that is read: hundreds of times what one has.
const maxUnit = 1 << 20

// Systemd is the service manager of most Linux hosts.
type Systemd struct {
	// Root is the folder of a host that does not run, such as an image that is
	// made; empty: this host.
	Root string
	// Systemctl runs systemctl; nil: the program of that name.
	Systemctl func(ctx context.Context, args ...string) ([]byte, error)

	folder string // of the units, below Root; empty: UnitFolder
}

// savedUnit is a unit's file and whether it starts with the host.
type savedUnit struct {
	Text    []byte `json:"text"`
	Enabled bool   `json:"enabled"`
}

func unitName(name string) string { return name + ".service" }

func (s *Systemd) path(name string) string {
	return filepath.Join(s.Root, cmp.Or(s.folder, UnitFolder), unitName(name))
}

func (s *Systemd) systemctl(ctx context.Context, args ...string) ([]byte, error) {
	if s.Root != "" {
		args = append([]string{"--root=" + s.Root}, args...)
	}
	run := s.Systemctl
	if run == nil {
		run = runSystemctl
	}
	out, err := run(ctx, args...)
	if err != nil {
		return out, fmt.Errorf("systemctl %s: %w", strings.Join(args, " "), err)
	}
	return out, nil
}

func runSystemctl(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "systemctl", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("%w: this host has no systemd", errors.ErrUnsupported)
	case err != nil && ctx.Err() != nil:
		return out, ctx.Err()
	case err != nil:
		return out, fmt.Errorf("%w: %w: %s", fault.ErrUnavailable, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// text reads a unit's file; nil if there is none.
func (s *Systemd) text(name string) ([]byte, error) {
	f, err := os.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxUnit+1))
	if err == nil && len(text) > maxUnit {
		err = fmt.Errorf("%s: %w: more than %d bytes", f.Name(), fault.ErrMalformed, maxUnit)
	}
	return text, err
}

// Look is that of [Manager].
func (s *Systemd) Look(name string) (Found, error) {
	text, err := s.text(name)
	if err != nil {
		return Found{}, err
	}
	if text == nil {
		return Found{State: Absent}, nil
	}
	found := Found{State: Stopped, Program: unitValue(text, "ExecStart")}
	enabled := false
	if s.Root != "" {
		out, err := s.systemctl(context.Background(), "is-enabled", unitName(name))
		enabled = err == nil && strings.TrimSpace(string(out)) == "enabled"
	} else {
		out, err := s.systemctl(context.Background(), "show", "--property=ActiveState,MainPID,Result,ExecMainStatus,UnitFileState", unitName(name))
		if err != nil {
			return Found{}, err
		}
		enabled = found.properties(out)
	}
	found.Saved, err = json.Marshal(savedUnit{text, enabled})
	return found, err
}

// properties reads what systemctl shows of a unit.
func (f *Found) properties(out []byte) (enabled bool) {
	p := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		p[name] = value
	}
	switch p["ActiveState"] {
	case "active", "reloading":
		f.State = Running
	case "activating":
		f.State = Starting
	case "deactivating":
		f.State = Stopping
	}
	f.PID, _ = strconv.Atoi(p["MainPID"]) // 0 where there is none
	if r := p["Result"]; f.State != Running && r != "" && r != "success" {
		f.Ended = r
		if status := p["ExecMainStatus"]; status != "" && status != "0" {
			f.Ended += ", exit code " + status
		}
	}
	return p["UnitFileState"] == "enabled"
}

// Differences is that of [Manager].
func (s *Systemd) Differences(d Definition) ([]string, error) {
	found, err := s.Look(d.Name)
	if err != nil {
		return nil, err
	}
	if found.State == Absent {
		return []string{"there is no unit " + s.path(d.Name)}, nil
	}
	var saved savedUnit
	if err := json.Unmarshal(found.Saved, &saved); err != nil {
		return nil, err
	}
	var differences []string
	text := s.unit(d)
	if got, want := unitValue(saved.Text, "ExecStart"), unitValue(text, "ExecStart"); got != want {
		differences = append(differences, fmt.Sprintf("%s runs %q, not %q", s.path(d.Name), got, want))
	} else if !bytes.Equal(saved.Text, text) {
		differences = append(differences, s.path(d.Name)+" is not what is installed")
	}
	if !saved.Enabled {
		differences = append(differences, unitName(d.Name)+" does not start with the host")
	}
	return differences, nil
}

// Define is that of [Manager].
func (s *Systemd) Define(d Definition) ([]string, error) {
	return nil, s.put(d.Name, savedUnit{s.unit(d), true})
}

// unit names paths as they are once the host runs.
func (s *Systemd) unit(d Definition) []byte {
	d.Program = strings.TrimPrefix(d.Program, s.Root)
	return Unit(d)
}

// Booted says whether systemd runs this host, as sd_booted(3) does.
func Booted() error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return fmt.Errorf("%w: this host was not started with systemd", errors.ErrUnsupported)
	}
	return nil
}

// put writes the unit and has systemd read it.
func (s *Systemd) put(name string, u savedUnit) error {
	path := s.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, u.Text, 0o644); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if err := s.reload(); err != nil {
		return err
	}
	verb := "disable"
	if u.Enabled {
		verb = "enable"
	}
	_, err := s.systemctl(context.Background(), verb, unitName(name))
	return err
}

func (s *Systemd) reload() error {
	if s.Root != "" {
		return nil // it does not run
	}
	_, err := s.systemctl(context.Background(), "daemon-reload")
	return err
}

// Restore is that of [Manager].
func (s *Systemd) Restore(name string, saved json.RawMessage) error {
	if saved != nil {
		var u savedUnit
		if err := json.Unmarshal(saved, &u); err != nil {
			return fmt.Errorf("%w: %w", fault.ErrMalformed, err)
		}
		return s.put(name, u)
	}
	there, err := exists(s.path(name))
	if err != nil || !there {
		return err
	}
	if _, err := s.systemctl(context.Background(), "disable", unitName(name)); err != nil {
		return err
	}
	if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.reload()
}

// Start is that of [Manager]. With Type=notify systemctl returns when the
// service is ready, or has ended.
func (s *Systemd) Start(ctx context.Context, name string) error {
	if s.Root != "" {
		return nil
	}
	if _, err := s.systemctl(ctx, "start", unitName(name)); err != nil {
		if found, lookErr := s.Look(name); lookErr == nil && found.Ended != "" {
			return fmt.Errorf("%w: %w", &EndedError{name, found.Ended}, err)
		}
		return err
	}
	return nil
}

// Stop is that of [Manager].
func (s *Systemd) Stop(ctx context.Context, name string) error {
	there, err := exists(s.path(name))
	if err != nil || !there || s.Root != "" {
		return err
	}
	_, err = s.systemctl(ctx, "stop", unitName(name))
	return err
}

// unitValue is a setting of a unit, as it stands there; the last one counts.
func unitValue(text []byte, name string) (value string) {
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			value = v
		}
	}
	return value
}
