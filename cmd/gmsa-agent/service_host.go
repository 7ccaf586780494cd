package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/hook/docker/gate"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// host is this host, or the one in the folder that --root names.
func (s *session) host(c *cli.Context) (*service.Host, error) {
	root := c.String(flagRoot)
	if root != "" {
		abs, err := filepath.Abs(root)
		if err != nil {
			return nil, err
		}
		root = abs
	}
	h, err := platformHost(root)
	if err != nil {
		return nil, err
	}
	h.Patience = c.Duration(flagTimeout)
	if h.Root = root; root != "" {
		return h, nil
	}
	// An upgrade goes on with the configuration that was installed.
	if s.configFile == "" {
		path, _, err := h.Config()
		if err != nil {
			return nil, &serviceError{err}
		}
		s.configFile = path
	}
	h.Answer = func(ctx context.Context) (service.Answer, error) { return s.whoAnswers(ctx, c) }
	return h, nil
}

// whoAnswers asks the running agent for its version.
func (s *session) whoAnswers(ctx context.Context, c *cli.Context) (service.Answer, error) {
	cfg, err := s.config(c)
	if err != nil {
		return service.Answer{}, err
	}
	conn, err := channel.Dial(ctx, channel.Control, cfg.Channels.Control.Endpoint)
	if err != nil {
		return service.Answer{}, err
	}
	defer conn.Close() //nolint:errcheck // the answer is there, or the error
	var status agent.Status
	if err := control.Call(ctx, conn, agent.VerbStatus, nil, &status); err != nil {
		return service.Answer{}, err
	}
	return service.Answer{Version: status.Version, PID: status.PID}, nil
}

// packageIncomplete says that a file of a package is not where it should be.
type packageIncomplete struct {
	name, folder string
}

func (e *packageIncomplete) Error() string {
	return fmt.Sprintf("%s is not in %s: %v", e.name, e.folder, fault.ErrNotFound)
}
func (e *packageIncomplete) Unwrap() error { return fault.ErrNotFound }

// thisPackage is the package that this program lies in. What a configuration
// has wrong is found before anything is done.
func (s *session) thisPackage(c *cli.Context, h *service.Host) (service.Package, error) {
	cfg, err := s.installedConfig(c)
	if err != nil {
		return service.Package{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return service.Package{}, err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return service.Package{}, err
	}
	folder := filepath.Dir(self)
	sums, err := service.Sums(folder)
	if err != nil {
		return service.Package{}, err
	}
	p := service.Package{Version: thisBuild().Version, Config: s.configFile}
	for _, path := range stateOf(cfg) {
		p.State = append(p.State, filepath.Join(h.Root, path))
	}
	for _, f := range packageFiles(h.Programs, h.Root) {
		f.Source = filepath.Join(folder, filepath.FromSlash(f.Name))
		if f.Name == agentFile {
			f.Source = self // whatever it is called
		}
		if _, err := os.Stat(f.Source); errors.Is(err, fs.ErrNotExist) {
			return p, &packageIncomplete{f.Name, folder}
		}
		f.SHA256 = sums[f.Name]
		p.Files = append(p.Files, f)
	}
	p.Plugin = pluginFile
	services, err := wantedServices(c, h)
	if err != nil {
		return p, err
	}
	for _, d := range services {
		if s.configFile != "" {
			d.Args = append([]string{"--" + flagConfig, s.configFile}, d.Args...)
		}
		// dockerd looks for the gate for half a minute when it starts, and then ends.
		d.Delayed = c.String(flagStart) != "auto" && d.Name != service.GateName
		d.Program, d.Writable = agentFile, []string{cfg.StateDir}
		if dir := filepath.Dir(cfg.Audit.File); dir != cfg.StateDir {
			d.Writable = append(d.Writable, dir)
		}
		if file := gate.Announced(""); d.Name == service.GateName && file != "" {
			p.State = append(p.State, file)
		}
		p.Services = append(p.Services, d)
	}
	return p, nil
}

// installedConfig is the configuration that the service will have.
func (s *session) installedConfig(c *cli.Context) (*config.Config, error) {
	if s.configFile != "" {
		abs, err := filepath.Abs(s.configFile) // the service has another folder
		if err != nil {
			return nil, err
		}
		s.configFile = abs
	}
	if c.String(flagRoot) != "" {
		return config.Default(), nil // that host's own is read when its agent starts
	}
	return s.config(c)
}

// wantedServices are what is installed, the agent first. The gate stays where it is
// until somebody says otherwise: dockerd refuses every request without it.
func wantedServices(c *cli.Context, h *service.Host) ([]service.Definition, error) {
	services := []service.Definition{{
		Name:        service.Name,
		DisplayName: "gmsa-agent",
		Description: "Active Directory identities (gMSA) for Windows containers",
		Args:        serviceArgs,
	}}
	wanted := c.Bool(flagDockerGate)
	if !c.IsSet(flagDockerGate) {
		var err error
		if wanted, err = h.Has(service.GateName); err != nil {
			return nil, err
		}
	}
	switch {
	case !wanted:
		return services, nil
	case gateArgs == nil:
		return nil, usagef("--%s is for Windows: no other Docker runs containers that have a gMSA", flagDockerGate)
	}
	return append(services, service.Definition{
		Name:        service.GateName,
		DisplayName: "gmsa-agent Docker gate",
		Description: "Tells Docker which containers may have an Active Directory identity (gMSA)",
		Args:        gateArgs,
	}), nil
}

// stateOf is what the agent keeps in its own folder. What a configuration has
// put elsewhere is not removed with it: it may be others' as well.
func stateOf(cfg *config.Config) (paths []string) {
	add := func(path string) {
		if rel, err := filepath.Rel(cfg.StateDir, path); err == nil && filepath.IsLocal(rel) && rel != "." {
			paths = append(paths, path)
		}
	}
	in := func(name string) string { return filepath.Join(cfg.StateDir, name) }
	add(cfg.Secrets.Local.Dir)
	add(cfg.CredentialSpecs.Cache.Dir)
	add(cfg.Audit.File)
	for i := range cfg.Audit.Keep {
		add(cfg.Audit.File + "." + strconv.Itoa(i+1))
	}
	for _, name := range []string{"grants.journal", "grants.journal.new", "agent.lock", service.LogName, service.LogName + ".1", service.GateLogName, service.GateLogName + ".1"} {
		add(in(name))
	}
	return paths
}

// logFolder is where the service's log goes when its configuration cannot be read.
func logFolder(cfg *config.Config) string {
	if cfg != nil {
		return cfg.StateDir
	}
	return config.Default().StateDir
}
