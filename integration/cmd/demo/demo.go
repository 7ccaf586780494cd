//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/ccgdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/chainlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// waitForLab is how long another run may have the domains' addresses.
const waitForLab = 5 * time.Minute

// asker is one of the demo's containers and what should become of it.
type asker struct {
	id, reference string
	domain        *adlab.Domain // whose gMSA it should get; nil for none
	refused       string        // what ctr's error must say; empty: it starts
}

type demo struct {
	*screen
	ad      *adlab.Lab
	chain   *chainlab.Lab
	askers  []asker
	ctrSaid map[string]error
	traces  map[string]*chainlab.Trace
}

func run(ctx context.Context, s *screen) (err error) {
	d := &demo{screen: s, ctrSaid: map[string]error{}, traces: map[string]*chainlab.Trace{}}
	d.chapter("The host: two Active Directory domains, containerd.exe, Microsoft's runhcs shim, gmsa-agent.exe")
	defer func() {
		d.now("demo", "stopping the labs")
		err = errors.Join(err, d.stop())
	}()
	if err := d.startLabs(ctx); err != nil {
		return err
	}
	if err := d.storeSecrets(ctx); err != nil {
		return err
	}
	for _, a := range d.askers {
		if err := d.play(ctx, a); err != nil {
			return fmt.Errorf("container %s: %w", a.id, err)
		}
	}
	if err := d.deleteAll(ctx); err != nil {
		return err
	}
	if err := d.tokensAreDead(ctx); err != nil {
		return err
	}
	return d.conclude()
}

func (d *demo) stop() error {
	var errs []error
	if d.chain != nil {
		errs = append(errs, d.chain.Stop())
	}
	if d.ad != nil {
		errs = append(errs, d.ad.Stop())
	}
	return errors.Join(errs...)
}

func (d *demo) startLabs(ctx context.Context) (err error) {
	report := func(format string, args ...any) { d.now("lab", format, args...) }
	if d.ad, err = adlab.Start(ctx, adlab.Options{Wait: waitForLab, Report: report}); err != nil {
		return err
	}
	domains := map[string]directory.Config{}
	specs := map[string][]byte{}
	for _, dom := range []*adlab.Domain{d.ad.Contoso, d.ad.Fabrikam} {
		d.now("lab", "domain %s answers at %s", dom.DNSName, dom.IP)
		domains[dom.DNSName] = directory.Config{DNS: []string{dom.DNS}, CAFile: dom.CAFile}
		if specs[specName(dom)], err = dom.CredentialSpec(ctx, adlab.GMSA); err != nil {
			return err
		}
	}
	d.chain, err = chainlab.Start(ctx, chainlab.Options{
		Report: report, CCG: ccgdouble.Config{Domains: domains}, Agent: &chainlab.Agent{Specs: specs},
	})
	if err != nil {
		return err
	}
	d.now("lab", "containerd.exe, gmsa-agent.exe and the registered ccg-plugin.dll are up")
	d.askers = []asker{
		{id: "web-contoso", reference: "file://" + specName(d.ad.Contoso), domain: d.ad.Contoso},
		{id: "web-fabrikam", reference: "file://" + specName(d.ad.Fabrikam), domain: d.ad.Fabrikam},
		{id: "plain"},
		{id: "mistaken", reference: "file://no-such.json", refused: "file://no-such.json"},
	}
	return nil
}

func specName(dom *adlab.Domain) string {
	name, _, _ := strings.Cut(dom.DNSName, ".")
	return name + ".json"
}

func (d *demo) storeSecrets(ctx context.Context) error {
	for _, dom := range []*adlab.Domain{d.ad.Contoso, d.ad.Fabrikam} {
		name := strings.ToLower(dom.NetBIOS)
		stdin := bytes.NewReader(append(bytes.Clone(dom.Plugin.Password), '\n'))
		if _, err := d.chain.CLI(ctx, stdin, "secret", "put", "--domain", dom.DNSName, "--user", dom.Plugin.Name, name); err != nil {
			return err
		}
		d.now("gmsa-agent", `secret put %s: the password of %s\%s is in the local store`, name, dom.NetBIOS, dom.Plugin.Name)
	}
	return nil
}

// play creates and starts a container and tells what happened on the way.
func (d *demo) play(ctx context.Context, a asker) error {
	asks := "asks for no gMSA"
	c := chainlab.Container{ID: a.id}
	if a.reference != "" {
		asks = "asks for " + a.reference
		c.Annotations = map[string]string{hook.KeyCredentialSpec: a.reference}
	}
	d.chapter("Container %s %s", a.id, asks)
	if err := d.chain.CreateContainer(ctx, c); err != nil {
		return err
	}
	d.now("ctr", "containers create %s", a.id)
	d.now("ctr", "tasks start %s", a.id)
	err := d.chain.StartTask(ctx, a.id)
	d.ctrSaid[a.id] = err
	t, traceErr := d.chain.Trace(a.id)
	if traceErr != nil {
		return traceErr
	}
	d.traces[a.id] = t
	d.tell(t)
	switch {
	case err == nil && a.refused != "":
		return errors.New("it was started, although it should have been refused")
	case err != nil && a.refused == "":
		return err
	case err != nil:
		d.now("ctr", "fails, and prints why:")
		d.printf("           %s\n", indent(err.Error()))
	default:
		d.now("ctr", "the task runs")
	}
	return nil
}

func indent(text string) string { return strings.ReplaceAll(text, "\n", "\n           ") }

// tell tells the hops of a container's start in the order of their times.
func (d *demo) tell(t *chainlab.Trace) {
	for _, r := range t.Audit {
		switch r.Event {
		case audit.AdmitGranted:
			d.hop(r.Time, "shim wrapper", "asks the agent before the real shim runs")
			d.hop(r.Time, "gmsa-agent", "admits: %s → %s of %s, served by %s; grant %s", r.Reference, r.Account, r.Domain, r.Secret, r.Grant)
			d.hop(time.Time{}, "shim wrapper", "writes the admitted document into config.json and hands over to the runhcs shim")
		case audit.AdmitRefused:
			d.hop(r.Time, "shim wrapper", "asks the agent before the real shim runs")
			d.hop(r.Time, "gmsa-agent", "refuses: %s", r.Reason)
		}
	}
	if t.Add != nil {
		d.hop(t.Add.Time, "runhcs shim", "→ HCS: ContainerCredentialGuard AddInstance, with the admitted document")
	}
	if r := t.Report; r != nil {
		d.hop(time.Time{}, "ccg (double)", "activates %s out of process (dllhost) and calls GetPasswordCredentials", r.PluginGUID)
		if released := t.Event(audit.RedeemReleased); released != nil {
			d.hop(released.Time, "ccg-plugin", "redeems the grant's token at the agent")
			d.hop(released.Time, "gmsa-agent", "releases to process %d (%s)", released.Peer.PID, released.Peer.Image)
		}
		d.hop(time.Time{}, "ccg (double)", `has the plugin user %s\%s`, r.Domain, r.User)
		for _, s := range r.Steps {
			d.hop(time.Time{}, "ccg (double)", "  %-26s %7.1f ms  %s", s.Name, s.Millis, s.Detail)
		}
		if r.Principal != "" {
			d.hop(time.Time{}, "ccg (double)", "holds a ticket as %s; the domain controller says it is %s", r.Principal, r.WhoAmI)
		}
	}
	if t.Create != nil {
		with := "without any credential spec"
		if !t.Created.IsZero() {
			with = "with ContainerCredentialGuard and the same document"
		}
		d.hop(t.Create.Time, "runhcs shim", "→ HCS: create compute system, %s", with)
	}
}

// deleteAll deletes the containers and waits until the agent has seen it.
func (d *demo) deleteAll(ctx context.Context) error {
	d.chapter("The containers are deleted")
	type line struct {
		at        time.Time
		who, what string
	}
	var lines []line
	for _, a := range d.askers {
		lines = append(lines, line{time.Now(), "ctr", "deletes " + a.id})
		if err := d.chain.Delete(ctx, a.id); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, a := range d.askers {
		err := lab.WaitFor(ctx, "the end of "+a.id, func(context.Context) error {
			t, err := d.chain.Trace(a.id)
			if err != nil {
				return err
			}
			d.traces[a.id] = t
			if a.domain != nil && (t.Remove == nil || t.Event(audit.GrantRevoked) == nil) {
				return errors.New("neither removed nor revoked yet")
			}
			return nil
		})
		if err != nil {
			return err
		}
		if t := d.traces[a.id]; a.domain != nil {
			r := t.Event(audit.GrantRevoked)
			lines = append(lines,
				line{t.Remove.Time, "runhcs shim", "→ HCS: ContainerCredentialGuard RemoveInstance of " + a.id},
				line{r.Time, "gmsa-agent", fmt.Sprintf("revokes %s: %s", r.Grant, r.Reason)})
		}
	}
	slices.SortStableFunc(lines, func(x, y line) int { return x.at.Compare(y.at) })
	for _, l := range lines {
		d.hop(l.at, l.who, "%s", l.what)
	}
	return nil
}

// tokensAreDead gives the deleted containers' documents to CCG once more.
func (d *demo) tokensAreDead(ctx context.Context) error {
	d.chapter("A document outlives its container; its grant does not")
	for _, a := range d.askers {
		if a.domain == nil {
			continue
		}
		report, err := d.chain.CCG(ctx, []byte(d.traces[a.id].Created.Reveal()))
		if err != nil {
			return err
		}
		if report.User != "" || report.Principal != "" || report.Event != ccgdouble.EventPluginFailed {
			return fmt.Errorf("the document of %s, which is deleted, still gets %q a ticket as %q", a.id, report.User, report.Principal)
		}
		d.now("ccg (double)", "with the document of %s: GetPasswordCredentials returns %s, no credentials", a.id, report.HResult)
	}
	return nil
}
