package adlab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Options say which lab to start.
type Options struct {
	// Domains are the DNS names of the domains to start; empty: all.
	Domains []string
	// Wait is how long to wait for another process's lab to end. There is one
	// lab on a machine at a time, because the domains' addresses are fixed.
	Wait time.Duration
	// Report is told what the lab waits for; nil: nobody.
	Report lab.Reporter
}

// Lab is a set of running domains.
type Lab struct {
	Contoso, Fabrikam *Domain // nil if not started

	mu      sync.Mutex
	lock    *os.File
	dir     string
	domains []*Domain
	shifted int
}

// Start starts the domains at the same time and returns when each answers: 2
// to 4 seconds. [Setup] must have been run.
func Start(ctx context.Context, o Options) (_ *Lab, err error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	if o.Report == nil {
		o.Report = func(string, ...any) {}
	}
	held, err := lock(ctx, o.Wait, o.Report)
	if err != nil {
		return nil, fmt.Errorf("adlab: %w", err)
	}
	l := &Lab{lock: held, dir: lab.Cache("ad", "run")}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("adlab: %w", err), l.Stop())
		}
	}()
	// What a killed process's lab left; nobody else can be using it.
	if err := os.RemoveAll(l.dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		return nil, err
	}

	var wg sync.WaitGroup
	started := make([]*Domain, len(recipes))
	errs := make([]error, len(recipes))
	for i, r := range recipes {
		if len(o.Domains) > 0 && !slices.Contains(o.Domains, r.DNSName) {
			continue
		}
		wg.Go(func() { started[i], errs[i] = l.start(ctx, r, r.IP, 0) })
	}
	wg.Wait()
	l.Contoso, l.Fabrikam = started[0], started[1]
	return l, errors.Join(errs...)
}

// Shifted starts another copy of a domain, as it was provisioned, whose domain
// controller's clock is ahead by the given time (behind, if negative). It has
// an address of its own; its DNS server still names the original's.
func (l *Lab) Shifted(ctx context.Context, d *Domain, ahead time.Duration) (*Domain, error) {
	i := slices.IndexFunc(recipes, func(r recipe) bool { return r.DNSName == d.DNSName })
	if i < 0 {
		return nil, fmt.Errorf("adlab: the lab has no domain %s", d.DNSName)
	}
	l.mu.Lock()
	l.shifted++
	ip := netip.AddrFrom4([4]byte{127, 0, 10, byte(100 + l.shifted)}) // above the recipes' own
	l.mu.Unlock()
	return l.start(ctx, recipes[i], ip, ahead)
}

// Stop ends every domain. Nothing of the lab is left afterwards but the cache.
func (l *Lab) Stop() error {
	l.mu.Lock()
	domains := l.domains
	l.domains = nil
	l.mu.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, len(domains))
	for i, d := range domains {
		wg.Go(func() { errs[i] = d.process.stop() })
	}
	wg.Wait()
	errs = append(errs, os.RemoveAll(l.dir))
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
		l.lock = nil
	}
	return errors.Join(errs...)
}

// start starts one domain at an address and gives its users their passwords.
func (l *Lab) start(ctx context.Context, r recipe, ip netip.Addr, ahead time.Duration) (*Domain, error) {
	p, err := startDC(ctx, l.dir, r, ip, ahead)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", r.realm(), err)
	}
	d := &Domain{
		DNSName: r.DNSName, NetBIOS: r.NetBIOS, Realm: r.realm(), Host: r.fqdn(), IP: ip,
		DNS: netip.AddrPortFrom(ip, 53).String(), CAFile: p.caFile, BaseDN: r.base(),
		admin: p.admin, process: p,
	}
	l.mu.Lock()
	l.domains = append(l.domains, d)
	l.mu.Unlock()

	admin, err := d.ready(ctx)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if d.Plugin, err = admin.AddUser(PluginUser, Readers); err != nil {
		return nil, err
	}
	if d.Outsider, err = admin.AddUser(Outsider); err != nil {
		return nil, err
	}
	return d, nil
}

// startTimeout bounds the wait for a domain controller, which takes a second
// or two; ten on a machine that is busy.
const startTimeout = 2 * time.Minute

// ready waits until the domain controller answers on every port and lets
// Administrator in. It gives up as soon as the process has ended.
func (d *Domain) ready(ctx context.Context) (*Admin, error) {
	wait, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(startTimeout, func() { cancel(fmt.Errorf("not ready after %v", startTimeout)) })
	defer late.Stop()
	go func() {
		select {
		case <-d.process.Done():
			cancel(d.process.Exited())
		case <-wait.Done():
		}
	}()
	var admin *Admin
	err := lab.WaitFor(wait, d.Realm, func(wait context.Context) (err error) {
		if err := d.process.answers(wait); err != nil {
			return err
		}
		admin, err = d.Admin(ctx)
		return err
	})
	return admin, err
}
