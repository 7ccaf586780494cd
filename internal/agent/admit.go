package agent

import (
	"context"
	"crypto/rand"
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
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// admission is one container's way through Admit. Its record grows with what
// becomes known, so that a refusal says as much as can be said.
type admission struct {
	facts    hook.Facts
	settings *Settings
	record   audit.Record

	document credspec.Document
	spec     *credspec.Spec
	secret   secrets.Ref
}

// Admit implements [hook.Admitter]: it resolves and validates what the
// container asks for, asks the policy, finds the secret that goes with it and
// makes sure that there is one, and answers with the document that carries the
// container's grant.
func (a *Agent) Admit(ctx context.Context, f hook.Facts) (hook.Admission, error) {
	key := f.Key
	m := &admission{facts: f, settings: a.settings.Load(), record: audit.Record{Container: &key, Image: f.Image}}
	answer, err := a.admit(ctx, m)
	if err == nil {
		return answer, nil
	}
	m.record.Event, m.record.Reason = audit.AdmitRefused, err.Error()
	a.recordRefusal(m.record)
	a.decisions.put(m.record)
	return hook.Admission{}, err
}

func (a *Agent) admit(ctx context.Context, m *admission) (hook.Admission, error) {
	if err := m.resolve(ctx); err != nil {
		return hook.Admission{}, err
	}
	if answer, again, err := a.admittedBefore(m); again || err != nil {
		return answer, err
	}
	if err := Permit(m.settings.Policy, m.facts, m.spec); err != nil {
		return hook.Admission{}, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	found, err := m.chooseSecret(ctx)
	if err != nil {
		return hook.Admission{}, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	if !found {
		return a.pass(m)
	}
	if err := m.checkSecret(ctx); err != nil {
		return hook.Admission{}, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	return a.grant(m)
}

// resolve fetches the credential spec that the container asks for and makes
// sure that it says something definite.
func (m *admission) resolve(ctx context.Context) error {
	asked, asks := m.facts.Ask()
	if !asks {
		return fmt.Errorf("container %s asks for no credential spec: %w", m.facts.Key, fault.ErrMalformed)
	}
	ref, err := credspec.ParseRef(asked)
	if err != nil {
		return err
	}
	m.record.Reference = ref.String()
	if m.document, err = m.settings.Specs.Resolve(ctx, ref); err != nil {
		return err
	}
	m.record.Digest = m.document.Digest
	if problems := invalid(credspec.Validate(m.document.Data)); problems != "" {
		return fmt.Errorf("credential spec %s: %s: %w", ref, problems, fault.ErrMalformed)
	}
	if m.spec, err = credspec.Parse(m.document.Data); err != nil {
		return fmt.Errorf("credential spec %s: %w", ref, err)
	}
	m.record.Domain, m.record.Account = m.spec.DomainJoinConfig.DnsName, m.spec.DomainJoinConfig.MachineAccountName
	return nil
}

// invalid puts the errors among problems into one line: all places, so that an
// author mends a document in one go, but no more than fit an error message.
func invalid(problems []credspec.Problem) string {
	const most = 5
	var texts []string
	n := 0
	for _, p := range problems {
		if p.Severity != credspec.SeverityError {
			continue
		}
		if n++; n <= most {
			text := p.Message
			if p.Path != "" {
				text = p.Path + ": " + text
			}
			texts = append(texts, text)
		}
	}
	if n > most {
		texts = append(texts, fmt.Sprintf("and %d more", n-most))
	}
	return strings.Join(texts, "; ")
}

// admittedBefore recognises a document that this agent made. It is the
// container's own when a runtime shows it a second time, for example to the
// wrapper after the event watch; it is refused when it was taken from another
// container or when its grant has ended.
func (a *Agent) admittedBefore(m *admission) (answer hook.Admission, again bool, err error) {
	h := m.spec.ActiveDirectoryConfig.HostAccountConfig
	if h == nil || !strings.HasPrefix(h.PluginInput, wire.TokenPrefix) {
		return hook.Admission{}, false, nil
	}
	g, live := a.grants.Redeemable(h.PluginInput)
	switch {
	case !live:
		return hook.Admission{}, false, fmt.Errorf("credential spec %s: it was admitted for a container that is gone; use the document that it was made from: %w", m.document.Ref, fault.ErrDenied)
	case g.Container != m.facts.Key:
		return hook.Admission{}, false, fmt.Errorf("credential spec %s: it was admitted for the container %s and for no other: %w", m.document.Ref, g.Container, fault.ErrDenied)
	case g.Document != grant.Sum(m.document.Data):
		return hook.Admission{}, false, fmt.Errorf("credential spec %s: it was changed after it was admitted: %w", m.document.Ref, fault.ErrDenied)
	}
	return hook.Admission{Document: m.document.Data, Grant: g.Name}, true, nil
}

// chooseSecret finds the secret that goes with the credential spec: the one
// that the document names, else the one that the container names, else the
// configured one, else the one local secret of that domain. Not found without
// an error means that the document stays as it is.
func (m *admission) chooseSecret(ctx context.Context) (found bool, err error) {
	var text, where string
	if h := m.spec.ActiveDirectoryConfig.HostAccountConfig; h != nil {
		if !sameGUID(h.PluginGUID, credspec.PluginGUID) && !m.adopted(h.PluginGUID) {
			name, _ := credspec.KnownPlugin(h.PluginGUID)
			if name == "" {
				name = "another plugin"
			}
			m.record.Reason = fmt.Sprintf("the document names %s, %s", name, h.PluginGUID)
			return false, nil
		}
		text, where = h.PluginInput, "/ActiveDirectoryConfig/HostAccountConfig/PluginInput"
	}
	if text == "" {
		text, where = m.facts.Secret(), hook.KeySecret
	}
	if text != "" {
		return true, m.useSecret(text, where)
	}
	return m.servingSecret(ctx)
}

func (m *admission) adopted(guid string) bool {
	for _, g := range m.settings.Adopt {
		if sameGUID(g, guid) {
			return true
		}
	}
	return false
}

func sameGUID(a, b string) bool {
	return strings.EqualFold(strings.Trim(a, "{}"), strings.Trim(b, "{}"))
}

// servingSecret finds the secret that serves the domain: the configured one of
// the account, the configured one of the domain, the only local one of the
// domain.
func (m *admission) servingSecret(ctx context.Context) (found bool, err error) {
	d := m.spec.DomainJoinConfig
	for _, account := range []string{d.MachineAccountName, ""} {
		for _, s := range m.settings.Serve {
			if strings.EqualFold(s.Account, account) && (strings.EqualFold(s.Domain, d.DnsName) || strings.EqualFold(s.Domain, d.NetBiosName)) {
				return true, m.useSecret(s.Secret, "the configuration's secrets.serve")
			}
		}
	}
	none := fmt.Errorf("no secret serves the domain %s: %w", d.DnsName, fault.ErrNotFound)
	if m.settings.Local != nil {
		entries, err := m.settings.Local.List(ctx)
		if err != nil {
			return false, err
		}
		entry, err := secrets.Serving(entries, d.DnsName, d.NetBiosName)
		if err == nil {
			m.secret, m.record.Secret = entry.Ref, entry.Ref.String()
			return true, nil
		}
		if !errors.Is(err, fault.ErrNotFound) {
			return false, err
		}
		none = err
	}
	if m.settings.DomainJoined {
		m.record.Reason = "the host is a domain member and no secret serves the domain " + d.DnsName
		return false, nil
	}
	return false, fmt.Errorf("%w, and the host is no member of a domain", none)
}

func (m *admission) useSecret(text, where string) (err error) {
	if m.secret, err = secrets.ParseRef(text); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	m.record.Secret = m.secret.String()
	return nil
}

// checkSecret makes sure that the secret can be had and is of the credential
// spec's domain. It is fetched again, from the cache, when CCG asks.
func (m *admission) checkSecret(ctx context.Context) error {
	c, err := m.settings.Secrets.Fetch(ctx, m.secret)
	if err != nil {
		return err
	}
	defer c.Wipe()
	d := m.spec.DomainJoinConfig
	return CheckDomain(m.secret, c, d.DnsName, d.NetBiosName)
}

// pass admits a document as it is.
func (a *Agent) pass(m *admission) (hook.Admission, error) {
	m.record.Event = audit.AdmitPassed
	if err := a.trail.Write(m.record); err != nil {
		return hook.Admission{}, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	a.decisions.put(m.record)
	return hook.Admission{Document: m.document.Data}, nil
}

// grant makes the document that carries a new grant's token, and the grant.
func (a *Agent) grant(m *admission) (hook.Admission, error) {
	token, err := wire.NewToken()
	if err != nil {
		return hook.Admission{}, err
	}
	document, err := credspec.SetHostAccountConfig(m.document.Data, credspec.HostAccountConfig{
		PortableCcgVersion: credspec.PortableCcgVersion, PluginGUID: credspec.PluginGUID, PluginInput: token,
	})
	if err != nil {
		return hook.Admission{}, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	d := m.spec.DomainJoinConfig
	g := grant.Grant{
		Name: newName(), Token: grant.Sum(token), Container: m.facts.Key, Image: m.facts.Image,
		Reference: m.document.Ref.String(), Source: m.document.Digest, Document: grant.Sum(document),
		Domain: d.DnsName, NetBIOS: d.NetBiosName, Account: d.MachineAccountName,
		Secret: m.secret.String(), Created: time.Now().UTC(),
	}
	m.record.Event, m.record.Grant = audit.AdmitGranted, g.Name
	if err := a.trail.Write(m.record); err != nil {
		return hook.Admission{}, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	if old, _, ok := a.grants.Of(g.Container); ok {
		a.revoked(old, "the container is created again")
	}
	if err := a.grants.Add(g); err != nil {
		return hook.Admission{}, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	a.decisions.remove(g.Container)
	a.log.Info("admitted", "container", g.Container, "grant", g.Name, "reference", g.Reference, "account", g.Account, "domain", g.Domain)
	return hook.Admission{Document: document, Grant: g.Name}, nil
}

// newName makes a grant's public name. Ten characters of rand.Text are 50
// random bits: enough to tell apart the grants of a host's life.
func newName() string { return "g-" + strings.ToLower(rand.Text()[:10]) }
