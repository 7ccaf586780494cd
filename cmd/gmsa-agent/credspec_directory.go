package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/daemon"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// flagAgainst has credential specs compared with what Active Directory says.
const flagAgainst = "against-directory"

// againstFlags are the flags of a comparison with Active Directory.
func againstFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.BoolFlag{Name: flagAgainst, Usage: "ask Active Directory, too, whether what they say is true"},
		&cli.StringFlag{Name: "secret", Category: "Who asks:", Usage: "take the plugin user in `REF`, whatever the document and the configuration say"},
	}, loginFlags()...)
}

// directoryCheck compares credential specs with what Active Directory says. It
// keeps its connections for the next document.
type directoryCheck struct {
	session  *session
	login    *login
	settings agent.Settings
	secret   string // of --secret; empty: as the agent chooses

	domains map[string]*askedDomain // by DNS name, lower case
	told    map[string]bool         // errors that were returned: one is enough for all documents of a domain
}

// askedDomain is a domain that was tried to be asked.
type askedDomain struct {
	*connection
	err error
}

// directoryCheck returns nil if the flags ask for none. The caller closes what
// it returns.
func (s *session) directoryCheck(c *cli.Context, cfg *config.Config) (*directoryCheck, error) {
	if !c.Bool(flagAgainst) {
		for _, f := range againstFlags() {
			if name := f.Names()[0]; c.IsSet(name) && name != flagAgainst {
				return nil, usagef("--%s goes with --%s, which is missing", name, flagAgainst)
			}
		}
		return nil, nil
	}
	store, err := openStores(cfg)
	if err != nil {
		return nil, err
	}
	joined, err := daemon.DomainJoined(cfg.DomainJoined)
	if err != nil {
		return nil, err
	}
	d := &directoryCheck{
		session: s, secret: c.String("secret"), domains: make(map[string]*askedDomain), told: make(map[string]bool),
		settings: agent.Settings{Secrets: store, Local: store, Serve: cfg.Secrets.Serve, Adopt: cfg.Adopt, DomainJoined: joined},
	}
	d.login, err = s.login(c, cfg)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (d *directoryCheck) close() {
	if d == nil {
		return
	}
	for _, a := range d.domains {
		if a.connection != nil {
			a.connection.close()
		}
	}
	d.login.close()
}

// comparison is that of one document.
type comparison struct {
	*directoryCheck
	data     []byte
	name     string
	spec     *credspec.Spec
	user     *fetched // the plugin user; nil if there is none to check
	problems []credspec.Problem
}

// problems returns what a document says that is not true. A document that says
// too little to be compared has no problems here. The error says that the
// directory could not be asked.
func (d *directoryCheck) problems(ctx context.Context, doc document) ([]credspec.Problem, error) {
	spec, err := credspec.Parse(doc.Data)
	if err != nil || spec.DomainJoinConfig.DnsName == "" {
		return nil, nil // which is said already
	}
	c := &comparison{directoryCheck: d, data: doc.Data, name: doc.name, spec: spec}
	c.choosePluginUser(ctx, doc.Document)
	defer func() {
		if c.user != nil {
			c.user.Wipe()
		}
	}()
	join := spec.DomainJoinConfig
	own, err := d.ask(ctx, join.DnsName, join.NetBiosName, c.user)
	if err == nil {
		c.domain(own.facts)
		err = c.accounts(ctx, own)
	}
	return c.problems, err
}

// directoryChecker adds to a verdict on a document what the directory says of
// it, and returns why it could not be asked, unless it has before. locate, which may be nil, turns
// places in the document into places in the file that the document is a part of.
type directoryChecker func(v *verdict, doc document, locate func(credspec.Problem) credspec.Problem) []error

// checker is one that does nothing, if d is nil.
func (d *directoryCheck) checker(ctx context.Context) directoryChecker {
	return func(v *verdict, doc document, locate func(credspec.Problem) credspec.Problem) []error {
		if d == nil || doc.Data == nil {
			return nil
		}
		found, err := d.problems(ctx, doc)
		for _, p := range found {
			if locate != nil {
				p = locate(p)
			}
			v.Problems = append(v.Problems, p)
		}
		slices.SortStableFunc(v.Problems, func(a, b credspec.Problem) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
		if err == nil || d.told[err.Error()] {
			return nil
		}
		d.told[err.Error()] = true
		return []error{err}
	}
}

func (c *comparison) add(severity credspec.Severity, path, hint, format string, args ...any) {
	line, column := credspec.Place(c.data, path)
	c.problems = append(c.problems, credspec.Problem{
		Path: path, Severity: severity, Message: fmt.Sprintf(format, args...), Hint: hint, Line: line, Column: column,
	})
}

// choosePluginUser fetches the user whom the agent would use for the document.
// That there is none here is no fault of the document's.
func (c *comparison) choosePluginUser(ctx context.Context, doc credspec.Document) {
	path, text, netbios := "", c.secret, c.spec.DomainJoinConfig.NetBiosName
	if text == "" {
		choice, err := agent.ChooseSecret(ctx, &c.settings, doc, c.spec)
		if err == nil && choice.Passed != "" {
			err = errors.New(choice.Passed)
		}
		if err != nil {
			c.unchecked(err)
			return
		}
		text, netbios = choice.Secret.String(), choice.NetBIOS
		if c.spec.ActiveDirectoryConfig.HostAccountConfig != nil {
			path = "/ActiveDirectoryConfig/HostAccountConfig/PluginInput"
		}
	}
	user, err := c.session.fetch(ctx, c.login.cfg, "secret", text)
	if err != nil {
		c.unchecked(err)
		return
	}
	if err := agent.CheckDomain(user.ref, user.Credential, c.spec.DomainJoinConfig.DnsName, netbios); err != nil {
		c.add(credspec.SeverityError, path, "name a secret of that domain", "%v", err)
		user.Wipe()
		return
	}
	c.user = &user
}

// unchecked says why no plugin user's right is checked.
func (c *comparison) unchecked(why error) {
	fmt.Fprintf(c.session.stderr, "note: %s: whether a plugin user may read the managed passwords is not checked: %s\n", printable(c.name), printable(why.Error()))
}

// ask connects to a domain, once.
func (d *directoryCheck) ask(ctx context.Context, domain, netbios string, other *fetched) (*connection, error) {
	key := strings.ToLower(strings.TrimSuffix(domain, "."))
	a := d.domains[key]
	if a == nil {
		a = &askedDomain{}
		a.connection, a.err = d.login.open(ctx, key, netbios, other)
		if !as[*nobodyToAsk](a.err) { // another document may name somebody
			d.domains[key] = a
		}
	}
	return a.connection, a.err
}

// domain compares what the document says of its domain.
func (c *comparison) domain(f *directory.Domain) {
	join := c.spec.DomainJoinConfig
	for _, m := range []struct{ name, is, want string }{
		{"Sid", join.Sid, f.SID},
		{"Guid", strings.Trim(join.Guid, "{}"), f.GUID},
		{"DnsTreeName", join.DnsTreeName, f.Forest},
		{"DnsName", join.DnsName, f.DNSName},
		{"NetBiosName", join.NetBiosName, f.NetBIOS},
	} {
		if m.is != "" && !strings.EqualFold(m.is, m.want) {
			c.add(credspec.SeverityError, "/DomainJoinConfig/"+m.name, "write "+m.want,
				"is %q, but the directory of %s has %q", m.is, f.DNSName, m.want)
		}
	}
}

// accounts compares every account that the document names.
func (c *comparison) accounts(ctx context.Context, own *connection) error {
	const list = "/ActiveDirectoryConfig/GroupManagedServiceAccounts/%d/%s"
	asked := []*connection{own}
	seen := make(map[string]bool)
	listed := c.spec.ActiveDirectoryConfig.GroupManagedServiceAccounts
	look := func(path, name string, in *connection) error {
		key := strings.ToLower(in.facts.DNSName + "/" + name)
		if name == "" || seen[key] {
			return nil
		}
		seen[key] = true
		return c.account(ctx, path, name, in, in == own)
	}
	// Scopes that are DNS names lead to domains; of these the NetBIOS names are
	// known only then.
	for i, a := range listed {
		if !strings.Contains(a.Scope, ".") {
			continue
		}
		in, err := c.scope(ctx, own, fmt.Sprintf(list, i, "Scope"), a.Scope)
		if err != nil {
			return err
		}
		if in == nil {
			continue
		}
		asked = append(asked, in)
		if err := look(fmt.Sprintf(list, i, "Name"), a.Name, in); err != nil {
			return err
		}
	}
	for i, a := range listed {
		if a.Scope == "" || strings.Contains(a.Scope, ".") {
			continue
		}
		in := byNetBIOS(asked, a.Scope)
		if in == nil {
			c.add(credspec.SeverityWarning, fmt.Sprintf(list, i, "Scope"), "list the account with the DNS name of its domain, too",
				"is %q, the NetBIOS name of no domain that was asked", a.Scope)
			continue
		}
		if err := look(fmt.Sprintf(list, i, "Name"), a.Name, in); err != nil {
			return err
		}
	}
	return look("/DomainJoinConfig/MachineAccountName", c.spec.DomainJoinConfig.MachineAccountName, own)
}

func byNetBIOS(asked []*connection, name string) *connection {
	for _, in := range asked {
		if strings.EqualFold(in.facts.NetBIOS, name) {
			return in
		}
	}
	return nil
}

// scope is the connection to the domain that a scope names; nil if that cannot
// be asked, which is then said.
func (c *comparison) scope(ctx context.Context, own *connection, path, scope string) (*connection, error) {
	if strings.EqualFold(scope, own.facts.DNSName) {
		return own, nil
	}
	in, err := c.ask(ctx, scope, "", nil)
	if as[*nobodyToAsk](err) {
		c.add(credspec.SeverityWarning, path, "name a user of that domain with --"+flagAuthSecret+" or --"+flagCache, "is not checked: %v", err)
		return nil, nil
	}
	return in, err
}

// account looks an account up.
func (c *comparison) account(ctx context.Context, path, name string, in *connection, own bool) error {
	server := " -Server " + in.facts.DNSName
	a, err := in.ServiceAccount(ctx, name)
	var e *directory.Error
	switch {
	case errors.As(err, &e) && e.Kind == directory.NoSuchAccount:
		message := "the domain " + in.facts.DNSName + " has no such gMSA"
		if e.Err != nil {
			message += ": " + e.Err.Error()
		}
		c.add(credspec.SeverityError, path, "see which there are: Get-ADServiceAccount -Filter *"+server, "is %q; %s", name, message)
		return nil
	case err != nil:
		return in.failure(stepAccount, err)
	}
	if !strings.EqualFold(a.Name, name) {
		c.add(credspec.SeverityError, path, "write "+a.Name, "is %q, the name of an object whose account is %q", name, a.Name)
	}
	if a.Disabled {
		c.add(credspec.SeverityError, path, "Enable-ADAccount "+quoted(a.Name+"$")+server, "is %q, an account that is disabled: nobody can log on as it", name)
	}
	if a.NoAES {
		c.add(credspec.SeverityWarning, path, "Set-ADServiceAccount "+quoted(a.Name)+server+" -KerberosEncryptionType AES128,AES256",
			"is %q, an account that has no encryption type but old ones", name)
	}
	if c.user == nil || !own {
		return nil
	}
	access, err := in.Access(ctx, a, c.user.User)
	switch {
	case errors.Is(err, fault.ErrNotFound):
		c.add(credspec.SeverityError, path, "", "is %q; its plugin user, %s of %s, does not exist in %s", name, c.user.User, c.user.ref, in.facts.DNSName)
	case errors.Is(err, fault.ErrDenied): // what is to be known is not readable
		c.add(credspec.SeverityWarning, path, "ask as a user who may read it, with --"+flagUser, "is %q; whether its plugin user may read its managed password is not known: %v", name, err)
	case err != nil:
		return in.failure(stepAccess, err)
	case !access.Allowed:
		message, hint := notAllowed(access, a.Name, in.facts.DNSName)
		c.add(credspec.SeverityError, path, hint, "is %q; its plugin user, %s: %s", name, c.user.ref, message)
	}
	return nil
}
