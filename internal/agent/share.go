package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/grant"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// share is what Share has made for a place, without the token.
type share struct {
	admission           // on the document as its source has it, of no container
	copied              grant.Digest
	token               grant.Digest // zero: the document is admitted as it is
	made, stale, passed string
}

// Share implements [hook.Sharer].
//
// A token belongs to one document of one source and one secret: what either of
// them changes to is admitted anew. Otherwise the last copy's token stays, whoever
// came and went meanwhile, so that the place is not written to without need.
func (a *Agent) Share(ctx context.Context, s hook.Shared, last hook.Copy) (c hook.Copy, err error) {
	defer a.recovered("a credential spec's copy", &err)
	m := a.admission(ofShared(hook.Facts{}, s))
	m.record.Container = nil
	// However fresh the cache takes it to be: what is made here is what the runtime
	// reads next.
	if err := m.resolve(credspec.Revalidated(ctx)); err != nil {
		return hook.Copy{}, err
	}
	if err := a.refuseForeignToken(m); err != nil {
		return hook.Copy{}, err
	}
	found, err := m.chooseSecret(ctx)
	if err != nil {
		return hook.Copy{}, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	sh := &share{admission: *m, made: m.made(), passed: m.record.Reason}
	if m.document.Stale != nil {
		sh.stale = staleness(m.document, time.Now())
	}
	c = hook.Copy{Document: m.document.Data, Made: sh.made}
	if found {
		var token string
		if token, c.Document, err = m.carry(last); err != nil {
			return hook.Copy{}, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
		}
		sh.token = grant.Sum(token)
	}
	sh.copied = grant.Sum(c.Document)
	a.sharing.Lock()
	defer a.sharing.Unlock()
	a.shares[s.Place] = sh
	return c, nil
}

// ofShared is what an admission needs to know of the document.
func ofShared(f hook.Facts, s hook.Shared) hook.Facts {
	f.Annotations = map[string]string{hook.KeyCredentialSpec: s.Reference}
	if s.Secret != "" {
		f.Annotations[hook.KeySecret] = s.Secret
	}
	return f
}

// made is a digest of all that a token is bound to.
func (m *admission) made() string {
	sum := sha256.New()
	for _, s := range []string{m.document.Digest, m.secret.String(), m.netbios()} {
		fmt.Fprintf(sum, "%d:%s,", len(s), s)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// carry is the document with a token: the last copy's, if that is a copy of it.
func (m *admission) carry(last hook.Copy) (token string, document []byte, err error) {
	if last.Made == m.made() {
		if spec, err := credspec.Parse(last.Document); err == nil && spec.ActiveDirectoryConfig.HostAccountConfig != nil {
			token = spec.ActiveDirectoryConfig.HostAccountConfig.PluginInput
		}
		if wire.ValidToken(token) {
			if document, err = withToken(m.document.Data, token); err == nil && bytes.Equal(document, last.Document) {
				return token, document, nil
			}
		}
	}
	if token, err = wire.NewToken(); err != nil {
		return "", nil, err
	}
	document, err = withToken(m.document.Data, token)
	return token, document, err
}

func withToken(document []byte, token string) ([]byte, error) {
	return credspec.SetHostAccountConfig(document, credspec.HostAccountConfig{
		PortableCcgVersion: credspec.PortableCcgVersion, PluginGUID: credspec.PluginGUID, PluginInput: token,
	})
}

// Join implements [hook.Sharer].
func (a *Agent) Join(ctx context.Context, f hook.Facts, s hook.Shared, c hook.Copy, why string) (answer hook.Admission, err error) {
	a.sharing.Lock()
	sh := a.shares[s.Place]
	a.sharing.Unlock()
	if sh == nil || sh.copied != grant.Sum(c.Document) {
		return hook.Admission{}, fmt.Errorf("%s: %w", s.Place, hook.ErrReplaced)
	}
	m := a.admission(f)
	m.record.Place, m.record.Reference = s.Place, short(s.Reference)
	defer func() { a.refused(m, err) }()
	defer a.recovered("an admission", &err)
	if err := checkFacts(f); err != nil {
		return hook.Admission{}, err
	}
	m.of(sh)
	if err := a.permitShared(ctx, m, sh); err != nil {
		return hook.Admission{}, err
	}
	for _, g := range a.grants.AllOf(f.Key) {
		if g.Token == sh.token {
			return hook.Admission{Document: c.Document, Grant: g.Name}, nil
		}
	}
	if unwritten := a.recordStale(m); unwritten != nil {
		return hook.Admission{}, unwritten
	}
	if sh.token == (grant.Digest{}) {
		m.record.Reason = sh.passed
		return a.pass(m)
	}
	if err := a.checkSecret(ctx, m); err != nil {
		return hook.Admission{}, err
	}
	d := m.spec.DomainJoinConfig
	g := grant.Grant{
		Name: newName(), Token: sh.token, Place: s.Place, Container: f.Key, Image: f.Image,
		Reference: m.record.Reference, Source: m.document.Digest, Document: sh.copied,
		Domain: d.DnsName, NetBIOS: m.netbios(), Account: d.MachineAccountName,
		Secret: m.secret.String(), Stale: short(m.stale),
	}
	m.record.Event, m.record.Grant, m.record.Reason = audit.AdmitGranted, g.Name, why
	if err := a.oneStep(func() error { return a.join(&g, m.record) }); err != nil {
		return hook.Admission{}, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	a.decisions.remove(g.Container)
	a.log.Info("admitted", "container", g.Container, "grant", g.Name, "reference", g.Reference, "account", g.Account, "domain", g.Domain, "place", g.Place)
	return hook.Admission{Document: c.Document, Grant: g.Name}, nil
}

// join records and adds a grant beside the container's earlier ones.
func (a *Agent) join(g *grant.Grant, r audit.Record) error {
	g.Created = time.Now().UTC()
	if err := a.grants.Check(*g); err != nil {
		return err
	}
	if err := a.trail.Write(r); err != nil {
		return err
	}
	return a.grants.Add(*g)
}

// of takes over what is known of the document.
func (m *admission) of(sh *share) {
	m.settings, m.document, m.spec, m.secret, m.configured, m.stale = sh.settings, sh.document, sh.spec, sh.secret, sh.configured, sh.stale
	r := sh.record
	m.record.Reference, m.record.Digest, m.record.Domain, m.record.Account, m.record.Secret = r.Reference, r.Digest, r.Domain, r.Account, r.Secret
}

// permitShared asks the policy, as it is now.
func (a *Agent) permitShared(_ context.Context, m *admission, sh *share) error {
	if secret := m.facts.Secret(); secret != "" && !strings.EqualFold(secret, sh.record.Secret) && secret != sh.facts.Secret() {
		return fmt.Errorf("credential spec %s: the container names the secret %s, and containers share the document with its secret: leave out %s: %w", m.document.Ref, short(secret), hook.KeySecret, fault.ErrDenied)
	}
	if err := Permit(a.settings.Load().Policy, m.facts, m.spec, m.record.Secret); err != nil {
		return fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	return nil
}

// refused leaves a record of an admission that failed.
func (a *Agent) refused(m *admission, err error) {
	if err == nil {
		return
	}
	m.record.Event, m.record.Reason = audit.AdmitRefused, err.Error()
	a.recordRefusal(m.record)
	if m.facts.ID != "" {
		a.decisions.put(m)
	}
}

// Check implements [hook.Sharer].
func (a *Agent) Check(ctx context.Context, f hook.Facts, s hook.Shared) (err error) {
	m := a.admission(ofShared(hook.Facts{}, s))
	m.record.Place, m.record.Container, m.record.Image = s.Place, nil, f.Image
	defer func() { a.refused(m, err) }()
	defer a.recovered("an admission", &err)
	if _, err := a.decideOn(ctx, m); err != nil {
		return err
	}
	sh := &share{admission: *m}
	m.facts = f
	return a.permitShared(ctx, m, sh)
}

// decideOn is decide without the policy.
func (a *Agent) decideOn(ctx context.Context, m *admission) (found bool, err error) {
	if err := m.resolve(ctx); err != nil {
		return false, err
	}
	if err := a.refuseForeignToken(m); err != nil {
		return false, err
	}
	if found, err = m.chooseSecret(ctx); err != nil {
		return false, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	return found, nil
}

// Take implements [hook.Sharer].
func (a *Agent) Take(ctx context.Context, f hook.Facts, place string, document []byte, dry bool) (err error) {
	f.CredentialSpec = string(document)
	f.Annotations, f.Labels = without(f.Annotations), without(f.Labels)
	m := a.admission(f)
	if f.ID == "" {
		m.record.Container = nil
	}
	defer func() {
		m.record.Place = place
		a.refused(m, err)
	}()
	defer a.recovered("an admission", &err)
	if !strings.HasPrefix(strings.TrimLeft(f.CredentialSpec, "\ufeff \t\r\n"), "{") {
		return fmt.Errorf("%s: it is no credential spec: %w", place, fault.ErrMalformed)
	}
	found, err := a.decide(ctx, m)
	if err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	if found {
		return fmt.Errorf("%s: it would need a grant, which the agent puts into the documents that it keeps for the runtime, and into no other: %w", place, fault.ErrDenied)
	}
	if dry {
		return nil
	}
	m.record.Place = place
	_, err = a.pass(m)
	return err
}

// Refuse implements [hook.Sharer].
func (a *Agent) Refuse(f hook.Facts, reason error) error {
	m := a.admission(f)
	if f.ID == "" {
		m.record.Container = nil
	}
	if ref, err := credspec.ParseRef(f.CredentialSpec); err == nil {
		m.record.Reference = ref.String()
	}
	a.refused(m, reason)
	return reason
}

// Created implements [hook.Sharer].
func (a *Agent) Created(f hook.Facts) error {
	r := a.admission(f).record
	r.Event = audit.ContainerCreated
	if asked, asks := f.Ask(); asks {
		if ref, err := credspec.ParseRef(asked); err == nil {
			r.Reference = ref.String()
		}
	}
	return a.trail.Write(r)
}

// HeldSince implements [hook.Sharer].
func (a *Agent) HeldSince(k hook.Key) (time.Time, bool) {
	g, _, live := a.grants.Of(k)
	return g.Created, live
}

// Reread implements [hook.Sharer].
func (a *Agent) Reread(_ context.Context, k hook.Key, after time.Time, reason string) error {
	return a.oneStep(func() error {
		held := a.grants.AllOf(k)
		var errs []error
		if latest := len(held) - 1; reason != "" && latest >= 0 {
			errs = append(errs, a.trail.Write(ofGrant(audit.Record{Event: audit.ContainerRestarted, Reason: reason}, held[latest])))
		}
		// What it has read is the latest copy that was there by then, or a later
		// one. Its grant came before the copy.
		read := 0
		for i, g := range held {
			if !g.Created.After(after) {
				read = i
			}
		}
		for _, g := range held[:min(read, len(held))] {
			errs = append(errs, a.end(g, "the container was started again and has read a later copy of the credential spec"))
		}
		return errors.Join(errs...)
	})
}

// ofHolders fills in the grant of a redemption. Which of the containers that
// share a document it is for cannot be told.
func (a *Agent) ofHolders(r audit.Record, g grant.Grant) audit.Record {
	r = ofGrant(r, g)
	if g.Place == "" {
		return r
	}
	holders := a.grants.Holders(g.Token)
	if len(holders) < 2 {
		return r
	}
	const most = 8
	var names []string
	for i, h := range holders {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(holders)-most))
			break
		}
		names = append(names, h.Name)
	}
	r.Container, r.Image, r.Grant = nil, "", ""
	r.Reason = fmt.Sprintf("for one of the containers that share %s: %s", g.Place, strings.Join(names, ", "))
	return r
}
