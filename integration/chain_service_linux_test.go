package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/ccgdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/chainlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

// The versions that are installed in turn. The third has a configuration with
// which no agent starts.
const (
	firstVersion  = "v1.0.0"
	secondVersion = "v2.0.0"
	brokenConfig  = `C:\ProgramData\gmsa-agent\broken.yaml`
)

// Containers that start and stop while the agent is upgraded: how many at a
// time, and every which one asks for a gMSA.
const (
	loadContainers = 50
	loadAtOnce     = 4
	loadAsks       = 5
)

// serviceHost is a host on which the agent is a service.
type serviceHost struct {
	*chain
	registry, files map[string]string // before anything was installed
}

func startServiceHost(t *testing.T) *serviceHost {
	t.Helper()
	if testing.Short() {
		t.Skip("starts containerd.exe under Wine: run `make test-all`")
	}
	for _, ready := range []func() error{adlab.Ready, chainlab.Ready} {
		if err := ready(); err != nil {
			t.Skip(err)
		}
	}
	ad, err := adlab.Start(t.Context(), adlab.Options{Wait: 5 * time.Minute, Report: lab.Report(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ad.Stop(); err != nil {
			t.Error(err)
		}
	})
	// Fifty containers take minutes; this is for what hangs all the same.
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	t.Cleanup(cancel)
	l, err := chainlab.Start(ctx, chainlab.Options{
		Report: lab.Report(t),
		CCG:    ccgdouble.Config{Domains: map[string]directory.Config{ad.Contoso.DNSName: {DNS: []string{ad.Contoso.DNS}, CAFile: ad.Contoso.CAFile}}},
		Agent: &chainlab.Agent{
			Config:   "secrets: {serve: [{domain: contoso.com, secret: 'local://contoso'}]}\n",
			Specs:    map[string][]byte{contosoSpec: generated(t, ad.Contoso, "webapp01")},
			Packages: []string{firstVersion, secondVersion},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			l.Logs(t.Output())
			if log, err := os.ReadFile(l.Path(`C:\ProgramData\gmsa-agent\agent.log`)); err == nil {
				fmt.Fprintf(t.Output(), "--- agent.log\n%s\n", log)
			}
		}
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	h := &serviceHost{chain: &chain{T: t, lab: l, ctx: ctx, ad: ad}}
	// A drive that is not there: the agent cannot open its trail.
	data, err := os.ReadFile(l.Path(chainlab.ServiceConfig))
	h.must(err)
	h.must(os.WriteFile(l.Path(brokenConfig), append(data, "audit: {file: 'Q:\\audit.jsonl'}\n"...), 0o600))
	h.registry, h.files = h.host()
	plugs, stop := context.WithCancel(ctx)
	wait := l.PlugService(plugs)
	t.Cleanup(func() { stop(); wait() })
	return h
}

// host is the registry and the drive.
func (h *serviceHost) host() (registry, files map[string]string) {
	h.Helper()
	registry, err := h.lab.Registry(h.ctx)
	h.must(err)
	files, err = h.lab.Files()
	h.must(err)
	return registry, files
}

func (h *serviceHost) service(version string, args ...string) {
	h.Helper()
	began := time.Now()
	out, err := h.lab.Service(h.ctx, version, args...)
	h.Logf("service %s (%v)\n%s", strings.Join(args, " "), time.Since(began).Round(time.Millisecond), out)
	h.must(err)
}

// serves checks that this version is installed and answers, and that nothing is
// the matter.
func (h *serviceHost) serves(version string) service.Status {
	h.Helper()
	out, err := h.lab.Service(h.ctx, version, "status", "-o", "json")
	var s service.Status
	if decoded := json.Unmarshal([]byte(out), &s); decoded != nil || err != nil {
		h.Fatalf("%v, %v: %s", err, decoded, out)
	}
	if !s.Installed || s.Version != version || s.Running != version || !bothRun(s.Services) || !s.Plugin.Registered {
		h.Errorf("want version %s, got %+v", version, s)
	}
	return s
}

// bothRun says whether the agent and Docker's gate run.
func bothRun(services []service.ServiceStatus) bool {
	return len(services) == 2 && services[0].State == service.Running &&
		services[1].Name == service.GateName && services[1].State == service.Running
}

const patience = "--timeout=3m"

func TestChainServiceIsInstalledUpgradedRolledBackAndRemoved(t *testing.T) {
	h := startServiceHost(t)
	run := func(name string, f func(*serviceHost)) {
		h.Run(name, func(t *testing.T) {
			sub := *h
			subchain := *h.chain
			subchain.T = t
			sub.chain = &subchain
			f(&sub)
		})
		if t.Failed() {
			t.FailNow() // what follows needs what was to be there
		}
	}
	run("a first version is installed, and is there", func(h *serviceHost) {
		h.service(firstVersion, "install", "--docker-gate", "--config", chainlab.ServiceConfig, patience)
		h.serves(firstVersion)
		h.service(firstVersion, "install", patience) // nothing to do
		password := strings.NewReader(string(h.ad.Contoso.Plugin.Password))
		_, err := h.lab.CLI(h.ctx, password, "secret", "put", "--domain", h.ad.Contoso.DNSName, "--user", h.ad.Contoso.Plugin.Name, "contoso")
		h.must(err)
	})
	run("a container gets its ticket", func(h *serviceHost) {
		h.must(h.lab.Run(h.ctx, asks("first", "file://"+contosoSpec)))
		if r := h.became("first"); r.Principal != "webapp01$@CONTOSO.COM" {
			h.Errorf("report: %+v", r)
		}
	})
	run("an upgrade under load loses nothing", (*serviceHost).upgrade)
	run("a version that cannot start is rolled back", (*serviceHost).rollBack)
	run("what was granted before is still granted", func(h *serviceHost) {
		r, err := h.lab.CCG(h.ctx, h.document("first"))
		if err != nil || r.Principal != "webapp01$@CONTOSO.COM" {
			h.Errorf("%+v, %v", r, err)
		}
		h.must(h.lab.Delete(h.ctx, "first"))
		h.waitAudit(audit.GrantRevoked, "first")
	})
	run("after the removal the host is as it was", (*serviceHost).remove)
}

// upgrade upgrades when the first of the containers have started.
func (h *serviceHost) upgrade() {
	next := make(chan int)
	var started sync.WaitGroup
	results := make(chan error, loadContainers)
	fewer := make(chan struct{}, loadContainers)
	began := time.Now()
	for range loadAtOnce {
		started.Go(func() {
			for i := range next {
				results <- h.startAndStop(i)
				fewer <- struct{}{}
			}
		})
	}
	go func() {
		defer close(next)
		for i := range loadContainers {
			next <- i
		}
	}()
	for range loadContainers / 5 {
		<-fewer
	}
	h.service(secondVersion, "install", patience)
	during := len(fewer)
	started.Wait()
	close(results)
	h.Logf("%d containers in %v, %d of them ended while the upgrade was under way", loadContainers, time.Since(began).Round(time.Second), during)
	for err := range results {
		if err != nil {
			h.Error(err)
		}
	}
	s := h.serves(secondVersion)
	if s.Previous != firstVersion {
		h.Errorf("the version before is %q", s.Previous)
	}
}

// wineCannotStart is how Wine fails now and then to start a program, before any of
// ours is asked anything: the lab's own in front of the real shim says so.
const wineCannotStart = "plugshim: fork/exec"

// startAndStop runs a container, and every few of them with a gMSA.
func (h *serviceHost) startAndStop(i int) error {
	id := fmt.Sprintf("load-%d", i)
	c := chainlab.Container{ID: id}
	if i%loadAsks == 0 {
		c = asks(id, "file://"+contosoSpec)
	}
	err := h.lab.Run(h.ctx, c)
	if err != nil && strings.Contains(err.Error(), wineCannotStart) {
		h.Logf("once more, as Wine could not start a program: %v", err)
		if err := h.lab.Delete(h.ctx, id); err != nil {
			return err
		}
		id += "-again"
		c.ID = id
		err = h.lab.Run(h.ctx, c)
	}
	if err != nil {
		return err
	}
	if i%loadAsks == 0 {
		r, ok, err := h.lab.CCGReport(id)
		if err != nil || !ok || r.Principal != "webapp01$@CONTOSO.COM" {
			return fmt.Errorf("container %s: %+v, %v, %w", id, r, ok, errors.Join(err))
		}
	}
	return h.lab.Delete(h.ctx, id)
}

func (h *serviceHost) rollBack() {
	out, err := h.lab.Service(h.ctx, firstVersion, "install", "--config", brokenConfig, patience)
	h.Logf("%s%v", out, err)
	// What Wine's service manager does not have is said, and is no error.
	for _, want := range []string{firstVersion, "exit code", "version " + secondVersion + " is back", "warning: SID type: unsupported by this system"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			h.Errorf("%q is not in the error %v", want, err)
		}
	}
	h.serves(secondVersion)
}

// What changes and is not ours, by how the names begin.
var (
	foreignValues = []string{
		// the service manager's count of the processes that it has started
		`HKEY_LOCAL_MACHINE\System\CurrentControlSet\Control\ServiceCurrent\`,
	}
	foreignFiles = []string{
		`C:\containerd\`, // containerd's own state, of all its containers
		`C:\hcsdouble\`,  // HCS's double's records
	}
)

func (h *serviceHost) remove() {
	// COM's surrogates linger under Wine, with the plugin loaded.
	h.must(h.lab.KillImage(h.ctx, "dllhost.exe"))
	h.service(secondVersion, "uninstall", "--purge")
	registry, files := h.host()
	h.same("registry", h.registry, registry, foreignValues)
	h.same("drive", h.files, files, foreignFiles)
}

// same compares two states of the host, name by name.
func (h *serviceHost) same(what string, before, after map[string]string, foreign []string) {
	h.Helper()
	names := maps.Clone(before)
	maps.Copy(names, after)
	compared := 0
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if slices.ContainsFunc(foreign, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			continue
		}
		compared++
		was, had := before[name]
		is, has := after[name]
		switch {
		case had && !has:
			h.Errorf("%s: %s is gone", what, name)
		case !had:
			h.Errorf("%s: %s was not there: %s", what, name, is)
		case was != is:
			h.Errorf("%s: %s was %s and is %s", what, name, was, is)
		}
	}
	h.Logf("%s: %d names compared", what, compared)
	if compared < 500 {
		h.Errorf("%s: only %d names were compared", what, compared)
	}
}
