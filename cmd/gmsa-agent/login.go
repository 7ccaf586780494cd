package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// login is as whom a command asks Active Directory, and how it gets there.
type login struct {
	session *session
	cfg     *config.Config
	only    string        // the one domain that the flags but for secrets and caches are about; empty: every domain
	network config.Domain // as the flags have it; it goes before the configuration

	user        string // of --user
	password    secrets.Secret
	credentials []fetched // of --auth-secret
	caches      []*directory.CredentialCache
	standing    *directory.CredentialCache // the default one; nil if there is none, or a flag says who asks
	unread      error                      // why the default one could not be read
}

// fetched is a plugin user and where it is from.
type fetched struct {
	ref secrets.Ref
	*secrets.Credential
}

// The flags of a login that others mention.
const (
	flagUser       = "user"
	flagAuthSecret = "auth-secret"
	flagCache      = "ccache"
)

// loginFlags are new flags each time: the library writes into them.
func loginFlags() []cli.Flag {
	const who, where = "Who asks:", "Where:"
	return []cli.Flag{
		&cli.StringFlag{Name: flagUser, Category: who, Usage: "ask as `USER`, with a password that is asked for or read from standard input"},
		&cli.StringFlag{Name: "password-file", Category: who, Usage: "read the password from `FILE`; - is standard input"},
		&cli.StringSliceFlag{Name: flagAuthSecret, Category: who, Usage: "ask as the user in the secret `REF`; one for each domain"},
		&cli.StringSliceFlag{Name: flagCache, Category: who, Usage: "ask with the tickets in the credential cache `FILE`; one for each domain"},
		&cli.StringSliceFlag{Name: "dc", Category: where, Usage: "ask this domain controller: `HOST` or HOST=ADDRESS"},
		&cli.StringSliceFlag{Name: "dns", Category: where, Usage: "ask this DNS server, `ADDRESS` or ADDRESS:PORT"},
		&cli.StringFlag{Name: "ca-file", Category: where, Usage: "verify domain controllers with the PEM certificates in `FILE`"},
	}
}

// login reads the flags. The caller closes what it returns.
func (s *session) login(c *cli.Context, cfg *config.Config) (_ *login, err error) {
	l := &login{
		session: s, cfg: cfg, user: c.String(flagUser),
		network: config.Domain{Controllers: c.StringSlice("dc"), DNS: c.StringSlice("dns"), CAFile: c.String("ca-file")},
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	switch {
	case l.user == "" && c.String("password-file") != "":
		return nil, usagef("--password-file is the password of --%s, which is missing", flagUser)
	case strings.Contains(l.user, `\`):
		return nil, usagef(`--%s %q: give the name alone, or the user principal name`, flagUser, l.user)
	}
	for _, name := range c.StringSlice(flagCache) {
		cache, err := directory.ReadCredentialCache(name)
		if err != nil {
			return nil, &verifyError{flags: true, err: err}
		}
		l.caches = append(l.caches, cache)
	}
	for _, text := range c.StringSlice(flagAuthSecret) {
		credential, err := s.fetch(c.Context, cfg, flagAuthSecret, text)
		if err != nil {
			return nil, err
		}
		l.credentials = append(l.credentials, credential)
	}
	if l.user != "" {
		if l.password, err = s.loginPassword(c, l.user); err != nil {
			return nil, err
		}
	}
	if !l.given() {
		l.standing, l.unread = standingCache()
	}
	return l, nil
}

// standingCache is the default credential cache; nil if there is none that can be read here.
func standingCache() (*directory.CredentialCache, error) {
	name := directory.DefaultCredentialCache()
	if name == "" {
		return nil, nil
	}
	cache, err := directory.ReadCredentialCache(name)
	switch {
	case err == nil:
		return cache, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errors.ErrUnsupported):
		return nil, nil
	}
	return nil, &verifyError{flags: true, err: err}
}

// fetch gets the plugin user of a secret that a flag names.
func (s *session) fetch(ctx context.Context, cfg *config.Config, flag, text string) (fetched, error) {
	ref, err := secrets.ParseRef(text)
	if err != nil {
		return fetched{}, usagef("--%s: %w", flag, err)
	}
	store, err := openStores(cfg)
	if err != nil {
		return fetched{ref: ref}, err
	}
	credential, err := store.Fetch(ctx, ref)
	return fetched{ref, credential}, err
}

// loginPassword gets the password from the file, from a person at the terminal,
// or from standard input.
func (s *session) loginPassword(c *cli.Context, user string) (secrets.Secret, error) {
	file := c.String("password-file")
	if file != "" && file != "-" {
		return s.password(c, file)
	}
	if terminal, ok := terminalOf(s.stdin); ok && file == "" {
		return s.askLine(c.Context, terminal, "Password of "+printable(user)+": ")
	}
	return s.readPassword(s.stdin, "standard input")
}

func (l *login) close() {
	l.password.Wipe()
	for _, f := range l.credentials {
		f.Wipe()
	}
	for _, cache := range l.caches {
		cache.Wipe()
	}
	if l.standing != nil {
		l.standing.Wipe()
	}
}

// given says whether a flag says who asks.
func (l *login) given() bool { return l.user != "" || len(l.credentials) > 0 || len(l.caches) > 0 }

// about says whether the flags that are about one domain are about this one.
func (l *login) about(domain string) bool { return l.only == "" || strings.EqualFold(l.only, domain) }

// connection is a domain that answers.
type connection struct {
	*directory.Session
	facts    *directory.Domain
	identity *directory.Identity
	about    verifyError // what an error of this connection is about
}

func (c *connection) close() {
	c.Close()
	c.identity.Wipe()
}

// failure is an error of what was asked over the connection.
func (c *connection) failure(step string, err error) *verifyError {
	e := c.about
	e.step, e.err = step, err
	return &e
}

// The steps of a login are those of a proof; what comes after it are these.
const (
	stepDomain  = "read-domain"
	stepAccount = "find-account"
	stepAccess  = "evaluate-access"
)

// open connects to the domain and reads what it says of itself. Its NetBIOS
// name may be empty where it is not known yet. other is who asks where no flag
// names a user of that domain; nil where there is no such user.
func (l *login) open(ctx context.Context, domain, netbios string, other *fetched) (*connection, error) {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	about := verifyError{domain: domain, flags: true}
	fail := func(step string, err error) (*connection, error) {
		e := about
		e.step, e.err = step, err
		return nil, &e
	}
	client, err := directory.New(l.reach(domain), domain)
	if err != nil {
		return fail("", err)
	}
	ask, err := l.asker(domain, netbios, other)
	if err != nil {
		return nil, err
	}
	about.user, about.secret = ask.user, ask.secret
	dc, err := client.FindController(ctx)
	if err != nil {
		return fail(directory.StepFindController, err)
	}
	id, err := ask.identity(ctx, client, dc)
	if err != nil {
		return fail(directory.StepAuthenticate, err)
	}
	s, err := id.Open(ctx)
	if err != nil {
		id.Wipe()
		return fail(directory.StepConnect, err)
	}
	c := &connection{Session: s, identity: id, about: about}
	if c.facts, err = s.Domain(ctx); err != nil {
		c.close()
		return fail(stepDomain, err)
	}
	return c, nil
}

// reach is how the domain is reached.
func (l *login) reach(domain string) directory.Config {
	n := l.cfg.Directory.Domains[strings.ToLower(domain)]
	if l.about(domain) {
		if len(l.network.Controllers) > 0 {
			n.Controllers = l.network.Controllers
		}
		if len(l.network.DNS) > 0 {
			n.DNS = l.network.DNS
		}
		n.CAFile = cmp.Or(l.network.CAFile, n.CAFile)
	}
	return directory.Config{DNS: n.DNS, Controllers: n.Controllers, CAFile: n.CAFile}
}

// asker is who asks one domain.
type asker struct {
	user     string // for errors
	secret   secrets.Ref
	identity func(context.Context, *directory.Client, *directory.Controller) (*directory.Identity, error)
}

// asker chooses: the user of --user, a user of the domain in a secret, tickets,
// the other user, and at last the tickets in the default credential cache.
func (l *login) asker(domain, netbios string, other *fetched) (*asker, error) {
	if l.user != "" && l.about(domain) {
		return byPassword(l.user, secrets.Ref{}, l.password), nil
	}
	if f := l.credential(domain, netbios); f != nil {
		return byPassword(f.User, f.ref, f.Password), nil
	}
	for _, cache := range l.caches {
		if strings.EqualFold(cache.Realm, domain) {
			return byTickets(cache), nil
		}
	}
	if other != nil {
		return byPassword(other.User, other.ref, other.Password), nil
	}
	if l.standing != nil && strings.EqualFold(l.standing.Realm, domain) {
		return byTickets(l.standing), nil
	}
	if l.unread != nil {
		return nil, l.unread
	}
	return nil, &nobodyToAsk{domain}
}

// credential is the user of --auth-secret for a domain. While its NetBIOS name
// is not known, a secret that has such a name only is for a domain that was
// typed, whose DNS name begins like that, or which nobody else is for. A domain
// that a document names gets none by a guess: what a domain controller is sent
// lets it try passwords.
func (l *login) credential(domain, netbios string) *fetched {
	known := netbios
	if known == "" && l.only != "" {
		known, _, _ = strings.Cut(domain, ".")
	}
	for i, f := range l.credentials {
		if ofDomain(f.Domain, domain, known) {
			return &l.credentials[i]
		}
	}
	if netbios == "" && strings.EqualFold(l.only, domain) && len(l.credentials) == 1 && !strings.Contains(l.credentials[0].Domain, ".") {
		return &l.credentials[0]
	}
	return nil
}

// ofDomain says whether a secret's domain is this one.
func ofDomain(name, dns, netbios string) bool {
	name, dns = strings.TrimSuffix(name, "."), strings.TrimSuffix(dns, ".")
	if strings.Contains(name, ".") {
		return strings.EqualFold(name, dns)
	}
	return netbios != "" && strings.EqualFold(name, netbios)
}

func byPassword(user string, secret secrets.Ref, password secrets.Secret) *asker {
	return &asker{user, secret, func(ctx context.Context, c *directory.Client, dc *directory.Controller) (*directory.Identity, error) {
		return c.Authenticate(ctx, dc, user, password.Bytes())
	}}
}

func byTickets(cache *directory.CredentialCache) *asker {
	user, _, _ := strings.Cut(cache.Principal, "@")
	return &asker{user, secrets.Ref{}, func(_ context.Context, c *directory.Client, dc *directory.Controller) (*directory.Identity, error) {
		return c.FromCache(dc, cache)
	}}
}

// nobodyToAsk says that no user of a domain is known.
type nobodyToAsk struct{ domain string }

func (e *nobodyToAsk) Error() string {
	return fmt.Sprintf("there is nobody to ask %s as: neither a user, a secret, nor a credential cache of that domain", e.domain)
}

func (e *nobodyToAsk) Unwrap() error { return fault.ErrNotFound }
