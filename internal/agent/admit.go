package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
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
	stale    string // why the document may not be the source's any more
	spec     *credspec.Spec
	secret   secrets.Ref

	configured  bool // the configuration names the secret for the document's DNS name
	hostAccount bool // the host's own account will be used: there is no secret
}

// Admit implements [hook.Admitter]: it resolves and validates what the
// container asks for, finds the secret that goes with it, asks the policy,
// makes sure that the secret can be had, and answers with the document that
// carries the container's grant.
func (a *Agent) Admit(ctx context.Context, f hook.Facts) (answer hook.Admission, err error) {
	m := a.admission(f)
	defer func() {
		if err == nil {
			return
		}
		m.record.Event, m.record.Reason = audit.AdmitRefused, err.Error()
		a.recordRefusal(m.record)
		a.decisions.put(m)
	}()
	defer a.recovered("an admission", &err)
	if err := checkFacts(f); err != nil {
		return hook.Admission{}, err
	}
	if g, ok := a.holds(f); ok {
		return hook.Admission{Document: []byte(f.CredentialSpec), Grant: g.Name}, nil
	}
	found, err := a.decide(ctx, m)
	// Whatever was decided, it was on this document.
	if unwritten := a.recordStale(m); unwritten != nil {
		return hook.Admission{}, unwritten
	}
	if err != nil {
		return hook.Admission{}, err
	}
	if !found {
		return a.pass(m)
	}
	if err := a.checkSecret(ctx, m); err != nil {
		return hook.Admission{}, err
	}
	return a.grant(m)
}

// Admitted implements [hook.Admitter].
func (a *Agent) Admitted(ctx context.Context, f hook.Facts) (err error) {
	defer a.recovered("an admission", &err)
	// What runs is asked for, not what the annotation or the label names.
	f.Annotations, f.Labels = without(f.Annotations), without(f.Labels)
	if _, ok := a.holds(f); ok {
		return nil
	}
	found, err := a.decide(ctx, a.admission(f))
	if err == nil && found {
		err = fmt.Errorf("it is a credential spec without the container's grant: %w", fault.ErrDenied)
	}
	return err
}

// Holds implements [hook.Admitter].
func (a *Agent) Holds(k hook.Key) bool {
	_, _, live := a.grants.Of(k)
	return live
}

func without(m map[string]string) map[string]string {
	m = maps.Clone(m)
	delete(m, hook.KeyCredentialSpec)
	return m
}

func (a *Agent) admission(f hook.Facts) *admission {
	key := f.Key
	return &admission{facts: f, settings: a.settings.Load(), record: audit.Record{Container: &key, Image: f.Image}}
}

// decide goes as far as can be gone without the secret itself. Not found
// without an error means that the document is admitted as it is.
func (a *Agent) decide(ctx context.Context, m *admission) (found bool, err error) {
	if err := m.resolve(ctx); err != nil {
		return false, err
	}
	if err := a.refuseForeignToken(m); err != nil {
		return false, err
	}
	if found, err = m.chooseSecret(ctx); err != nil {
		return false, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	if err := Permit(m.settings.Policy, m.facts, m.spec, m.record.Secret); err != nil {
		return false, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	return found, nil
}

// Bounds of a container's facts. Runtimes are stricter: containerd's IDs have 76
// characters at most, image references 4096 bytes.
const (
	maxName  = 256
	maxImage = 4096
)

func checkFacts(f hook.Facts) error {
	switch {
	case f.ID == "" || f.Runtime == "":
		return fmt.Errorf("the container's facts: neither id nor runtime may be empty: %w", fault.ErrMalformed)
	case len(f.Runtime) > maxName || len(f.Namespace) > maxName || len(f.ID) > maxName:
		return fmt.Errorf("the container's facts: runtime, namespace and id have at most %d bytes each: %w", maxName, fault.ErrMalformed)
	case len(f.Image) > maxImage:
		return fmt.Errorf("the container's facts: an image reference has at most %d bytes: %w", maxImage, fault.ErrMalformed)
	}
	return nil
}

// holds recognises a container that carries the document of its live grant: a
// runtime shows it a second time, for example to the wrapper after the event
// watch. An annotation that names something else by now asks anew.
func (a *Agent) holds(f hook.Facts) (grant.Grant, bool) {
	g, _, live := a.grants.Of(f.Key)
	if !live && f.CredentialSpec != "" {
		g, live = a.heldByDocker(f)
	}
	if !live || f.CredentialSpec == "" || g.Document != grant.Sum(f.CredentialSpec) {
		return grant.Grant{}, false
	}
	if asked, _ := f.Ask(); asked != f.CredentialSpec {
		ref, err := credspec.ParseRef(asked)
		if err != nil || ref.String() != g.Reference {
			return grant.Grant{}, false
		}
	}
	return g, true
}

// heldByDocker finds the grant of a container that Docker runs by way of
// containerd: it was admitted under its name there, and its document comes from
// Docker's place.
func (a *Agent) heldByDocker(f hook.Facts) (grant.Grant, bool) {
	k, ok := f.Key.Docker()
	if !ok {
		return grant.Grant{}, false
	}
	sum := grant.Sum(f.CredentialSpec)
	for _, g := range a.grants.AllOf(k) {
		if g.Document == sum {
			return g, true
		}
	}
	return grant.Grant{}, false
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

// refuseForeignToken refuses a document that this agent made for another
// container, for one that is gone, or that was changed since.
func (a *Agent) refuseForeignToken(m *admission) error {
	h := m.spec.ActiveDirectoryConfig.HostAccountConfig
	if h == nil || !strings.HasPrefix(strings.TrimSpace(h.PluginInput), wire.TokenPrefix) {
		return nil
	}
	why := "it was admitted for a container that is gone; use the document that it was made from"
	if g, live := a.grants.Redeemable(h.PluginInput); live {
		why = fmt.Sprintf("it was admitted for the container %s and for no other", g.Container)
		if g.Container == m.facts.Key {
			why = "it was changed after it was admitted"
		}
	}
	return fmt.Errorf("credential spec %s: %s: %w", m.document.Ref, why, fault.ErrDenied)
}

// recordStale records that the credential spec is not what its source says now,
// but what it said last.
func (a *Agent) recordStale(m *admission) error {
	if m.document.Stale == nil {
		return nil
	}
	m.stale = staleness(m.document, time.Now())
	err := a.trail.Write(audit.Record{
		Event: audit.SpecStale, Container: m.record.Container, Image: m.record.Image,
		Reference: m.record.Reference, Digest: m.record.Digest, Domain: m.record.Domain, Account: m.record.Account, Reason: m.stale,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	a.log.Warn("the source of a credential spec cannot be asked; its last document is used", "container", m.facts.Key, "reference", m.record.Reference, "reason", m.stale)
	return nil
}

// staleness says how old a document is and why it is not asked for.
func staleness(d credspec.Document, now time.Time) string {
	return fmt.Sprintf("it is %v old, confirmed at %s: %v", now.Sub(d.Confirmed).Round(time.Second), d.Confirmed.UTC().Format(time.RFC3339), d.Stale)
}

// chooseSecret finds the secret that goes with the credential spec: the one
// that the document names, else the one that the container names, else the
// configured one, else the one local secret of that domain. Not found without
// an error means that the document stays as it is.
func (m *admission) chooseSecret(ctx context.Context) (found bool, err error) {
	var text, where string
	h := m.spec.ActiveDirectoryConfig.HostAccountConfig
	if m.settings.Policy.HostAccount == config.HostAccountRequire {
		return false, m.hostAccountAlone()
	}
	if h != nil {
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
	none, err := m.servingSecret(ctx)
	switch {
	case err != nil:
		return false, err
	case none == nil:
		return true, nil
	case !m.settings.DomainJoined:
		return false, fmt.Errorf("%w, and the host is no member of a domain", none)
	case h != nil:
		// CCG would ask the plugin, which has nothing to give.
		return false, fmt.Errorf("%w, and the document names our plugin", none)
	case m.settings.Policy.HostAccount == config.HostAccountForbid:
		return false, fmt.Errorf("%w, and policy.host_account forbids the host's own account: %w", none, fault.ErrDenied)
	}
	m.record.Reason = "the host is a domain member and no secret serves the domain " + m.spec.DomainJoinConfig.DnsName
	m.hostAccount = true
	return false, nil
}

// hostAccountAlone admits a document that no plugin and no secret has a part in,
// for hosts whose own account is the only one that may fetch gMSAs' passwords.
func (m *admission) hostAccountAlone() error {
	const rule = "policy.host_account requires the host's own account"
	switch h := m.spec.ActiveDirectoryConfig.HostAccountConfig; {
	case h != nil:
		return fmt.Errorf("%s, and the document has a HostAccountConfig, which names the plugin %s: %w", rule, h.PluginGUID, fault.ErrDenied)
	case m.facts.Secret() != "":
		return fmt.Errorf("%s, and the container names a secret (%s): %w", rule, hook.KeySecret, fault.ErrDenied)
	case !m.settings.DomainJoined:
		return fmt.Errorf("%s, and the host is no member of a domain: %w", rule, fault.ErrDenied)
	}
	m.record.Reason = "the host is a domain member, and " + rule
	m.hostAccount = true
	return nil
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
// domain. There being none is not an error, but said in none.
func (m *admission) servingSecret(ctx context.Context) (none, err error) {
	d := m.spec.DomainJoinConfig
	for _, account := range []string{d.MachineAccountName, ""} {
		for _, s := range m.settings.Serve {
			byDNS := strings.EqualFold(s.Domain, d.DnsName)
			if strings.EqualFold(s.Account, account) && (byDNS || strings.EqualFold(s.Domain, m.netbios())) {
				m.configured = byDNS
				return nil, m.useSecret(s.Secret, "the configuration's secrets.serve")
			}
		}
	}
	if m.settings.Local == nil {
		return fmt.Errorf("no secret serves the domain %s: %w", d.DnsName, fault.ErrNotFound), nil
	}
	entries, err := m.settings.Local.List(ctx)
	if err != nil {
		return nil, err
	}
	entry, err := secrets.Serving(entries, d.DnsName, m.netbios())
	if errors.Is(err, fault.ErrNotFound) {
		return err, nil
	}
	m.secret, m.record.Secret = entry.Ref, entry.Ref.String()
	return nil, err
}

// netbios is the domain's NetBIOS name, as far as it can be believed. What ties
// it to the DNS name is the document. One that an administrator has put where
// the agent finds it is believed; one that a container brings along is its
// author's word, by which any NetBIOS name could be had for any DNS name, and
// is not, unless the configuration names the secret for the DNS name.
func (m *admission) netbios() string {
	if m.document.Ref.Scheme == credspec.SchemeRaw && !m.configured {
		return ""
	}
	return m.spec.DomainJoinConfig.NetBiosName
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
func (a *Agent) checkSecret(ctx context.Context, m *admission) error {
	c, err := m.settings.Secrets.Fetch(ctx, m.secret)
	if err != nil {
		return fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	defer c.Wipe()
	if err := a.recordStaleSecret(m.record, c); err != nil {
		return err
	}
	if err := CheckDomain(m.secret, c, m.spec.DomainJoinConfig.DnsName, m.netbios()); err != nil {
		return fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	a.warnOdd(m.secret, c)
	return nil
}

// pass admits a document as it is.
func (a *Agent) pass(m *admission) (hook.Admission, error) {
	m.record.Event = audit.AdmitPassed
	if err := a.trail.Write(m.record); err != nil {
		return hook.Admission{}, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	a.decisions.put(m)
	return hook.Admission{Document: m.document.Data}, nil
}

// grant makes the document that carries a new grant's token, and the grant.
func (a *Agent) grant(m *admission) (hook.Admission, error) {
	token, err := wire.NewToken()
	if err != nil {
		return hook.Admission{}, err
	}
	document, err := withToken(m.document.Data, token)
	if err != nil {
		return hook.Admission{}, fmt.Errorf("credential spec %s: %w", m.document.Ref, err)
	}
	d := m.spec.DomainJoinConfig
	g := grant.Grant{
		Name: newName(), Token: grant.Sum(token), Container: m.facts.Key, Image: m.facts.Image,
		Reference: m.document.Ref.String(), Source: m.document.Digest, Document: grant.Sum(document),
		Domain: d.DnsName, NetBIOS: m.netbios(), Account: d.MachineAccountName,
		Secret: m.secret.String(), Stale: short(m.stale),
	}
	m.record.Event, m.record.Grant = audit.AdmitGranted, g.Name
	if err := a.oneStep(func() error { return a.replace(&g, m.record) }); err != nil {
		return hook.Admission{}, fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
	}
	a.decisions.remove(g.Container)
	a.log.Info("admitted", "container", g.Container, "grant", g.Name, "reference", g.Reference, "account", g.Account, "domain", g.Domain)
	return hook.Admission{Document: document, Grant: g.Name}, nil
}

// replace records and adds a grant, which ends an earlier one of the container.
func (a *Agent) replace(g *grant.Grant, r audit.Record) error {
	g.Created = time.Now().UTC()
	if err := a.grants.Check(*g); err != nil {
		return err
	}
	if err := a.trail.Write(r); err != nil {
		return err
	}
	old, _, again := a.grants.Of(g.Container)
	if again {
		a.recordEnd(old, "the container is created again")
	}
	err := a.grants.Add(*g)
	if err != nil && again {
		err = errors.Join(err, a.grants.End(old)) // what is recorded must be so
	}
	return err
}

// newName makes a grant's public name. Ten characters of rand.Text are 50
// random bits: enough to tell apart the grants of a host's life.
func newName() string { return "g-" + strings.ToLower(rand.Text()[:10]) }
