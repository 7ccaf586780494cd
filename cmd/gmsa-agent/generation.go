package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/manifest"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// generation makes a credential spec of what Active Directory says.
type generation struct {
	login      *login
	domain     string // DNS name, as typed
	account    string
	additional []namedAccount
	host       *credspec.HostAccountConfig
	format     string
	kubeName   string

	secret  *fetched // of --secret; nil if there is none, or it could not be fetched
	noFetch error    // why not

	spec     *credspec.Spec
	warnings []warning
}

// namedAccount is a gMSA as a command line names it.
type namedAccount struct{ name, domain string } // domain: DNS name; empty: the document's own

// generation reads the flags. The caller closes what it returns.
func (s *session) generation(c *cli.Context, cfg *config.Config) (_ *generation, err error) {
	g := &generation{
		domain: strings.TrimSuffix(c.String("domain"), "."), account: strings.TrimSuffix(c.String("account"), "$"),
		format: c.String("format"), kubeName: c.String("kube-name"),
	}
	switch {
	case g.account == "":
		return nil, usagef("--account is missing: the name of the gMSA")
	case strings.ContainsAny(g.account, `\@`):
		return nil, usagef("--account %q: give the domain with --domain and the name alone with --account", g.account)
	case g.format != formatJSON && g.format != formatKubernetes:
		return nil, usagef("--format: %q is none of %s, %s", g.format, formatJSON, formatKubernetes)
	case g.kubeName != "" && g.format != formatKubernetes:
		return nil, usagef("--kube-name is for --format %s", formatKubernetes)
	}
	for _, text := range c.StringSlice("additional-account") {
		name, domain, has := strings.Cut(text, "@")
		a := namedAccount{strings.TrimSuffix(name, "$"), strings.TrimSuffix(domain, ".")}
		if a.name == "" || has && a.domain == "" || strings.Contains(a.name, `\`) {
			return nil, usagef("--additional-account %q: is neither NAME nor NAME@DOMAIN", text)
		}
		g.additional = append(g.additional, a)
	}
	if g.host, err = s.hostAccountConfig(c); err != nil {
		return nil, err
	}
	if g.login, err = s.login(c, cfg); err != nil {
		return nil, err
	}
	if text := c.String("secret"); text != "" {
		f, err := s.fetch(c.Context, cfg, "secret", text)
		if err == nil {
			g.secret = &f
		}
		g.noFetch = err
	}
	if err := g.chooseDomain(); err != nil {
		g.close()
		return nil, err
	}
	g.login.only = g.domain
	return g, nil
}

func (g *generation) close() {
	g.login.close()
	if g.secret != nil {
		g.secret.Wipe()
	}
}

// chooseDomain takes the domain of who asks where none is given.
func (g *generation) chooseDomain() error {
	if g.domain != "" {
		return nil
	}
	for _, f := range slices.Concat(g.login.credentials, g.ownSecret()) {
		if strings.Contains(f.Domain, ".") {
			g.domain = strings.ToLower(f.Domain)
			return nil
		}
	}
	for _, cache := range slices.Concat(g.login.caches, []*directory.CredentialCache{g.login.standing}) {
		if cache != nil {
			g.domain = strings.ToLower(cache.Realm)
			return nil
		}
	}
	if g.noFetch != nil {
		return g.noFetch
	}
	return usagef("--domain is missing: the DNS name of the gMSA's domain")
}

func (g *generation) ownSecret() []fetched {
	if g.secret == nil {
		return nil
	}
	return []fetched{*g.secret}
}

func (g *generation) warn(hint, format string, args ...any) {
	g.warnings = append(g.warnings, warning{fmt.Sprintf(format, args...), hint})
}

// run asks the directory and returns the document.
func (g *generation) run(ctx context.Context) ([]byte, error) {
	own, err := g.login.open(ctx, g.domain, "", g.secret)
	if as[*nobodyToAsk](err) && g.noFetch != nil {
		return nil, g.noFetch
	}
	if err != nil {
		return nil, err
	}
	defer own.close()
	account, err := g.member(ctx, own, g.account)
	if err != nil {
		return nil, err
	}
	var additional []credspec.Member
	found := []*directory.ServiceAccount{account}
	for _, a := range g.additional {
		if a.domain != "" && !strings.EqualFold(a.domain, g.domain) {
			m, err := g.foreign(ctx, a)
			if err != nil {
				return nil, err
			}
			additional = append(additional, m)
			continue
		}
		more, err := g.member(ctx, own, a.name)
		if err != nil {
			return nil, err
		}
		found = append(found, more)
		additional = append(additional, credspec.Member{Name: more.Name, DNSName: own.facts.DNSName, NetBIOSName: own.facts.NetBIOS})
	}
	g.checkPluginUser(ctx, own, found)
	f := own.facts
	g.spec = credspec.Generate(credspec.Domain{
		DNSName: f.DNSName, NetBIOSName: f.NetBIOS, Forest: f.Forest, SID: f.SID, GUID: f.GUID,
	}, account.Name, additional, g.host)
	return g.encode()
}

// member finds a gMSA of a connection's domain, and warns of what keeps it from being used.
func (g *generation) member(ctx context.Context, c *connection, name string) (*directory.ServiceAccount, error) {
	a, err := c.ServiceAccount(ctx, name)
	if err != nil {
		e := c.failure(stepAccount, err)
		e.gmsa = name
		return nil, e
	}
	if !strings.EqualFold(a.Name, name) {
		g.warn("", "%s is called %s when it logs on, and so in the document", name, a.Name)
	}
	server := " -Server " + c.facts.DNSName
	if a.Disabled {
		g.warn("Enable-ADAccount "+quoted(a.Name+"$")+server, "%s is disabled: nobody can log on as it", a.Name)
	}
	if a.NoAES {
		g.warn("Set-ADServiceAccount "+quoted(a.Name)+server+" -KerberosEncryptionType AES128,AES256",
			"%s has no encryption type but old ones, which domain controllers and clients no longer take", a.Name)
	}
	return a, nil
}

// foreign finds a gMSA of another domain.
func (g *generation) foreign(ctx context.Context, a namedAccount) (credspec.Member, error) {
	c, err := g.login.open(ctx, a.domain, "", nil)
	if err != nil {
		return credspec.Member{}, err
	}
	defer c.close()
	found, err := g.member(ctx, c, a.name)
	if err != nil {
		return credspec.Member{}, err
	}
	if g.host != nil {
		g.warn("", "whether a plugin user of %s can read the managed password of %s is not checked: it is of the domain %s, and trusts are not followed", g.domain, found.Name, c.facts.DNSName)
	}
	return credspec.Member{Name: found.Name, DNSName: c.facts.DNSName, NetBIOSName: c.facts.NetBIOS}, nil
}

// encode writes the document, which must be one that our own validation has
// nothing against.
func (g *generation) encode() ([]byte, error) {
	doc, err := g.spec.Encode()
	if err != nil {
		return nil, err
	}
	var wrong []error
	for _, p := range credspec.Validate(doc, credspec.WithPlugins(hostPlugins(g.login.cfg)...)) {
		if g.meant(p) {
			continue
		}
		text := p.Path + ": " + p.Message
		if p.Severity == credspec.SeverityError {
			wrong = append(wrong, fmt.Errorf("the document would not be valid: %s", text))
			continue
		}
		g.warn(p.Hint, "%s", text)
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if g.format == formatJSON {
		return doc, nil
	}
	manifest, err := manifest.Write(g.spec, g.objectName())
	if err != nil && g.kubeName == "" {
		return nil, usagef("--kube-name is missing: %w", err)
	}
	if err != nil {
		return nil, usagef("--kube-name: %w", err)
	}
	return manifest, nil
}

// meant says that a problem is what was asked for: another known plugin.
func (g *generation) meant(p credspec.Problem) bool {
	if g.host == nil || p.Severity != credspec.SeverityWarning || p.Path != "/ActiveDirectoryConfig/HostAccountConfig/PluginGUID" {
		return false
	}
	_, known := credspec.KnownPlugin(g.host.PluginGUID)
	return known
}

// objectName is the Kubernetes object's.
func (g *generation) objectName() string {
	if g.kubeName != "" {
		return g.kubeName
	}
	d := g.spec.DomainJoinConfig
	return strings.ReplaceAll(strings.ToLower(d.NetBiosName+"-"+d.MachineAccountName), "_", "-")
}

// defaultFile is the name that New-CredentialSpec gives, too.
func (g *generation) defaultFile() string {
	d := g.spec.DomainJoinConfig
	name := strings.ToLower(d.NetBiosName + "_" + d.MachineAccountName)
	if g.format == formatKubernetes {
		return name + ".yaml"
	}
	return name + ".json"
}

// confidential says that the document has something that not everybody should
// see: the input of some plugins is as good as a password. A reference of ours is not.
func (g *generation) confidential() bool {
	return g.host != nil && g.host.PluginGUID != credspec.PluginGUID
}
