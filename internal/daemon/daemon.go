// Package daemon puts the agent together from a configuration and runs it:
// state, trail, sources, stores, channels and hooks. It is what `gmsa-agent
// run` and the service run, and it decides nothing itself.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/cache"
	"github.com/gmsa-agent/gmsa-agent/credspec/sources"
	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/hook/containerd"
	"github.com/gmsa-agent/gmsa-agent/hook/docker"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
	"github.com/gmsa-agent/gmsa-agent/internal/locked"
	"github.com/gmsa-agent/gmsa-agent/internal/membership"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/stores"
)

// Option is more that an agent is run with.
type Option func(*daemon)

// WithEvents has the agent write its events. The recorder is the caller's to
// close.
func WithEvents(r *eventlog.Recorder) Option { return func(d *daemon) { d.events = r } }

// Run runs the agent until ctx ends. Ready is called once, when it serves. The
// error says what it could not start with, or which part ended on its own.
func Run(ctx context.Context, cfg *config.Config, version string, log *slog.Logger, ready func(), options ...Option) (err error) {
	d := &daemon{log: log, version: version, registration: pluginRegistration}
	for _, o := range options {
		o(d)
	}
	if err := errors.Join(locked.NoDump(), lockable()); err != nil {
		// Worth knowing, and no reason to leave containers without an identity.
		log.Warn("passwords in memory are less protected than they could be", "error", err)
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.start(cfg); err != nil {
		d.events.Record(eventlog.Entry{ID: eventlog.AgentStartFailed, Params: []string{err.Error()}})
		return err
	}
	err = d.serve(ctx, ready)
	if err != nil {
		d.events.Record(eventlog.Entry{ID: eventlog.AgentEnded, Params: []string{err.Error()}})
	}
	return err
}

// lockable says whether the system locks memory for secrets.
func lockable() error {
	locked.New(1).Release()
	return locked.Refused()
}

// daemon is a running agent and what it holds open.
type daemon struct {
	log     *slog.Logger
	version string
	started *config.Config // what it was started with
	agent   *agent.Agent
	control *channel.Listener
	plugin  *channel.Listener
	watches []*containerd.Watch
	reaper  *hcs.Reaper
	docker  *docker.Watch  // nil: none is watched
	closers []func() error // in the order in which they were opened
	events  *eventlog.Recorder

	registration func() (problem string, err error) // of the plugin

	mu      sync.Mutex
	cfg     *config.Config
	stores  *secrets.Mux
	cache   *secrets.Cache
	specs   *cache.Cache
	applied time.Time
	failed  string // why the file on disk is not what runs
}

func (d *daemon) onClose(f func() error) { d.closers = append(d.closers, f) }

func (d *daemon) close() error {
	var errs []error
	for i := len(d.closers) - 1; i >= 0; i-- {
		errs = append(errs, d.closers[i]())
	}
	return errors.Join(errs...)
}

func (d *daemon) start(cfg *config.Config) error {
	d.started = cfg
	if err := Trustworthy(cfg); err != nil {
		return err
	}
	for _, dir := range []string{cfg.StateDir, filepath.Dir(cfg.Audit.File)} {
		if err := private.Folder(dir); err != nil {
			return err
		}
	}
	// Before anything in the folder is touched: two agents on one journal
	// would undo each other's grants.
	unlock, err := private.Lock(filepath.Join(cfg.StateDir, "agent.lock"))
	if err != nil {
		return fmt.Errorf("another agent runs on %s: %w", cfg.StateDir, err)
	}
	d.onClose(unlock)
	trail, err := audit.Open(cfg.Audit.File, int64(cfg.Audit.MaxSize), cfg.Audit.Keep)
	if err != nil {
		return err
	}
	d.onClose(trail.Close)
	settings, err := d.assemble(cfg)
	if err != nil {
		return err
	}
	d.onClose(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		return errors.Join(d.cache.Close(), d.stores.Close(), d.specs.Close())
	})
	d.agent, err = agent.New(agent.Options{
		StateDir: cfg.StateDir, Trail: &eventTrail{Trail: trail, events: d.events}, Log: d.log, Settings: settings, Runtimes: watched(cfg),
		Panicked: d.panicked,
	})
	if err != nil {
		return err
	}
	d.onClose(d.agent.Close)
	d.agent.Report(func(s *agent.Status) { d.report(s, trail) })
	if err := d.listen(cfg); err != nil {
		return err
	}
	// Each watch lists one containerd's containers: only together do they know
	// which are gone.
	for i, tracker := range containerd.Share(d.agent, len(cfg.Containerd)) {
		c := cfg.Containerd[i]
		d.watches = append(d.watches, containerd.New(containerd.Config{
			Address: c.Address, Namespaces: c.Namespaces, Inject: containerd.Inject(c.Inject), StateDir: c.StateDir,
		}, d.agent, tracker, d.log))
	}
	d.agent.Carry(containerd.Runtime, d.carried)
	d.reaper = reaper(cfg, d.agent, d.watches, d.log)
	d.agent.Serve(d.reaper)
	d.watchDocker(cfg)
	return nil
}

func (d *daemon) panicked(in, kind string) {
	d.events.Record(eventlog.Entry{ID: eventlog.AgentPanicked, Subject: in + " " + kind, Params: []string{in, kind}})
}

// watched are the runtimes that will report their containers.
func watched(cfg *config.Config) []string {
	var runtimes []string
	if len(cfg.Containerd) > 0 {
		runtimes = append(runtimes, containerd.Runtime)
	}
	if cfg.Docker.Enabled != config.EnabledFalse {
		runtimes = append(runtimes, docker.Runtime)
	}
	return runtimes
}

func (d *daemon) listen(cfg *config.Config) (err error) {
	if d.control, err = channel.Listen(channel.Control, cfg.Channels.Control.Endpoint, channel.DefaultAllow(channel.Control)); err != nil {
		return fmt.Errorf("control channel: %w", err)
	}
	d.onClose(d.control.Close)
	allow := channel.DefaultAllow(channel.Plugin)
	if cfg.Channels.Plugin.Users != nil {
		allow.Users = cfg.Channels.Plugin.Users
	}
	if cfg.Channels.Plugin.Images != nil {
		allow.Images = cfg.Channels.Plugin.Images
	}
	if d.plugin, err = channel.Listen(channel.Plugin, cfg.Channels.Plugin.Endpoint, allow); err != nil {
		return fmt.Errorf("plugin channel: %w", err)
	}
	d.onClose(d.plugin.Close)
	return nil
}

// Trustworthy refuses a configuration that others could have written: ordinary
// users of Windows may make folders in ProgramData, and who makes the agent's
// before it is installed would choose its policy and who may redeem.
func Trustworthy(cfg *config.Config) error {
	if cfg.Path() == "" {
		return nil // the defaults
	}
	if err := private.File(cfg.Path()); err != nil {
		return fmt.Errorf("configuration %s could be changed by others: %w", cfg.Path(), err)
	}
	return nil
}

// assemble makes the settings of a configuration. The local store stays where
// the agent was started with it: it usually follows state_dir, and the grants
// of running containers name secrets that are in it. A store whose settings are
// unchanged goes on with what was fetched from it; the cache of credential specs
// is kept unless its folder is another.
func (d *daemon) assemble(cfg *config.Config) (agent.Settings, error) {
	store, err := stores.New(d.settings(cfg))
	if err != nil {
		return agent.Settings{}, err
	}
	joined, err := DomainJoined(cfg.DomainJoined)
	if err != nil {
		return agent.Settings{}, errors.Join(err, store.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	specs, err := d.sources(cfg)
	if err != nil {
		return agent.Settings{}, errors.Join(err, store.Close())
	}
	d.use(store, cfg)
	d.cfg, d.applied, d.failed = cfg, time.Now().UTC(), ""
	return agent.Settings{
		Specs: specs, Secrets: d.cache, Local: d.stores, Serve: cfg.Secrets.Serve, Policy: cfg.Policy,
		Adopt: cfg.Adopt, DomainJoined: joined,
	}, nil
}

// use puts the stores of a configuration behind the cache. daemon.mu is held.
func (d *daemon) use(store *secrets.Mux, cfg *config.Config) {
	times := func(scheme string) secrets.Times { return secrets.Times(cfg.Secrets.Cache.Of(scheme)) }
	if d.cache == nil {
		d.stores, d.cache = store, secrets.NewCache(store, secrets.WithTimes(times))
		return
	}
	before := d.cfg
	unchanged := func(scheme string) bool {
		return reflect.DeepEqual(settingsOf(scheme, before), settingsOf(scheme, cfg))
	}
	var retired *secrets.Mux
	d.stores, retired = store.Inherit(d.stores, unchanged)
	d.cache.Replace(d.stores, times, unchanged)
	// Fetches that are under way still use them.
	time.AfterFunc(storesFarewell, func() {
		if err := retired.Close(); err != nil {
			d.log.Warn("the former secret stores", "error", err)
		}
	})
}

// settings is what cfg says of secret stores, but for where the local one is.
func (d *daemon) settings(cfg *config.Config) stores.Config {
	c := Stores(cfg)
	c.LocalDir = d.started.Secrets.Local.Dir
	return c
}

// sources are those of a configuration, with the cache that is there, or a new
// one for another folder. The old one goes on to answer those who use it.
// daemon.mu is held.
func (d *daemon) sources(cfg *config.Config) (*credspec.Mux, error) {
	settings := cfg.CredentialSpecs.Cache
	documents := d.specs
	if d.cfg == nil || d.cfg.CredentialSpecs.Cache.Dir != settings.Dir {
		documents = cache.Open(settings.Dir, d.log)
	}
	specs, err := sources.Cached(Sources(cfg), documents, cache.Limits{Fresh: settings.Fresh, Stale: settings.Stale})
	if documents == d.specs {
		return specs, err
	}
	if err != nil {
		return nil, errors.Join(err, documents.Close())
	}
	if d.specs != nil {
		if err := d.specs.Close(); err != nil {
			d.log.Warn("the former cache of credential specs", "error", err)
		}
	}
	d.specs = documents
	return specs, nil
}

// storesFarewell is longer than any fetch takes.
const storesFarewell = 2 * secrets.DefaultFetchTimeout

// DomainJoined says whether the host is a domain member: as configured, or as
// the operating system answers.
func DomainJoined(c config.Joined) (bool, error) {
	switch c {
	case config.JoinedYes:
		return true, nil
	case config.JoinedNo:
		return false, nil
	}
	joined, err := membership.OfDomain()
	if err != nil {
		return false, fmt.Errorf("domain_joined: %w", err)
	}
	return joined, nil
}

func (d *daemon) serve(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	part := func(name string, run func(context.Context) error) {
		wg.Go(func() {
			// A part that ends while the agent should run takes the agent
			// with it: half an agent would refuse containers without a word.
			if err := run(ctx); ctx.Err() == nil {
				cancel(fmt.Errorf("%s ended: %w", name, err))
			}
		})
	}
	part("the control channel", func(ctx context.Context) error { return d.agent.ServeControl(ctx, d.control, d.asked) })
	part("the plugin channel", func(ctx context.Context) error { return d.agent.ServePlugin(ctx, d.plugin) })
	for _, w := range d.watches {
		part("the watch of containerd "+w.Status().Address, func(ctx context.Context) error {
			w.Run(ctx)
			return nil
		})
	}
	part("the reaper of CCG instances", func(ctx context.Context) error {
		d.reaper.Run(ctx, d.agent.RecordRemoval)
		return nil
	})
	if d.docker != nil {
		part("the watch of Docker", func(ctx context.Context) error {
			d.docker.Run(ctx)
			return nil
		})
	}
	part("the watch of the configuration", func(ctx context.Context) error {
		d.running().Watch(ctx, d.changed)
		return nil
	})
	part("the look at what may go wrong", d.watchHealth)
	cfg := d.running()
	d.events.Record(eventlog.Entry{ID: eventlog.AgentReady, Params: []string{d.version, cfg.Path(), cfg.Audit.File}})
	d.log.Info("ready", "version", d.version, "control", d.control.Addr().String(), "plugin", d.plugin.Addr().String(), "config", cfg.Path(), "audit", cfg.Audit.File)
	ready()
	<-ctx.Done()
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// asked tells the watches that a wrapper is in front of containerd's shim, so
// that they need not inject.
func (d *daemon) asked(k hook.Key) {
	for _, w := range d.watches {
		w.WrapperAsked(k)
	}
}

func (d *daemon) running() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// changed applies a changed configuration file, or says why it does not.
func (d *daemon) changed(cfg *config.Config, err error) {
	var settings agent.Settings
	if err == nil {
		err = Trustworthy(cfg)
	}
	if err == nil {
		settings, err = d.assemble(cfg)
	}
	if err != nil {
		d.mu.Lock()
		d.failed = err.Error()
		d.mu.Unlock()
		d.log.Error("the changed configuration is not applied; the running one stays", "error", err)
		d.agent.Note(audit.ConfigRejected, err.Error())
		return
	}
	d.agent.Apply(settings)
	if d.docker != nil {
		d.docker.Configure(dockerSpecs(cfg.Docker))
	}
	d.reaper.Apply(timing(cfg))
	d.agent.Note(audit.ConfigApplied, cfg.Path())
	d.log.Info("configuration applied", "config", cfg.Path())
	if d.waits(cfg) {
		d.log.Warn("changes of state_dir, secrets.local, audit, channels, containerd, docker (but for its specs and refresh), log and event_log take effect at the agent's next start")
	}
}

// waits says whether cfg has changes that a running agent does not apply.
func (d *daemon) waits(cfg *config.Config) bool {
	return !reflect.DeepEqual(fixed(d.started), fixed(cfg))
}

// fixed are the settings that a running agent cannot change.
func fixed(c *config.Config) any {
	fixedDocker := c.Docker
	fixedDocker.Specs, fixedDocker.Refresh = nil, config.DockerRefresh{}
	return []any{c.StateDir, c.Secrets.Local, c.Audit, c.Channels, c.Containerd, fixedDocker, c.Log, c.EventLog}
}

func (d *daemon) report(s *agent.Status, trail *audit.Log) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Version = d.version
	s.AuditTrail = trail.Path()
	s.Channels = []agent.Channel{
		{Name: channel.Control.String(), Endpoint: d.control.Addr().String()},
		{Name: channel.Plugin.String(), Endpoint: d.plugin.Addr().String()},
	}
	for _, w := range d.watches {
		s.Hooks = append(s.Hooks, ofWatch(w.Status()))
	}
	if d.reaper != nil && hcs.Supported() == nil {
		ccg := d.reaper.Status()
		s.CCG = &ccg
	}
	if d.docker != nil && d.docker.Visible() {
		s.Hooks = append(s.Hooks, ofDocker(d.docker.Status()))
	}
	stats := d.cache.Stats()
	s.Cache = agent.Cache{Entries: stats.Entries, Hits: stats.Hits, Misses: stats.Misses}
	s.Stores = ofStores(stats)
	documents := d.specs.Stats()
	s.SpecCache = agent.Cache{Entries: documents.Entries, Hits: documents.Hits, Misses: documents.Misses}
	s.Sources, s.Documents = ofSources(documents), ofDocuments(documents)
	s.Config = agent.Configuration{File: d.cfg.Path(), Applied: d.applied, Error: d.failed}
}
