package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Request says what to prove: that a plugin user can become a gMSA.
type Request struct {
	Domain  string // DNS name of the gMSA's domain
	NetBIOS string // its NetBIOS name; may be empty
	Account string // the gMSA, with or without the dollar sign
	// UserDomain is the domain that the plugin user's credentials name, by
	// either name; empty: Domain.
	UserDomain string
	User       string
	Password   []byte // UTF-8; neither kept nor wiped
	SPN        string // get a ticket to this service, too; may be empty
}

// The steps of a proof, in their order.
const (
	StepFindController = "find-controller"
	StepAuthenticate   = "authenticate"
	StepConnect        = "connect"
	StepReadPassword   = "read-managed-password"
	StepImpersonate    = "impersonate"
	StepWhoAmI         = "who-am-i"
	StepServiceTicket  = "service-ticket"
)

// Step is one step of a proof that was tried.
type Step struct {
	Name     string        // one of the constants
	Duration time.Duration //
	Detail   string        // what came of it, for people; empty if it failed
	Err      error         // nil if it succeeded
}

// Proof is what came of a request.
type Proof struct {
	Steps     []Step
	DC        *Controller
	Principal string         // the gMSA's, as its ticket has it: "webapp01$@CONTOSO.COM"
	Expires   time.Time      // of the gMSA's ticket-granting ticket
	AuthzID   string         // who the domain controller says it is: "u:CONTOSO\webapp01$"
	Ticket    *ServiceTicket // nil if none was asked for
}

// Prove does what CCG does with a plugin user's credentials, up to a ticket as
// the gMSA, and has the domain controller confirm it. observe, which may be
// nil, is told each step as it ends. At the first step that fails Prove stops;
// the proof that it returns has all that were tried, and the error is the last one's.
func Prove(ctx context.Context, cfg Config, r Request, observe func(Step)) (*Proof, error) {
	c, err := New(cfg, r.Domain)
	if err != nil {
		return &Proof{}, err
	}
	p := &prover{ctx: ctx, c: c, r: r, observe: observe}
	defer p.wipe()
	err = p.run()
	return &p.proof, err
}

type prover struct {
	ctx     context.Context
	c       *Client
	r       Request
	observe func(Step)
	proof   Proof

	user, gmsa *Identity
	session    *Session
	password   *ManagedPassword
}

func (p *prover) wipe() {
	if p.session != nil {
		p.session.Close()
	}
	if p.password != nil {
		p.password.Wipe()
	}
	for _, id := range []*Identity{p.user, p.gmsa} {
		if id != nil {
			id.Wipe()
		}
	}
}

func (p *prover) run() error {
	steps := []struct {
		name string
		do   func() (detail string, err error)
	}{
		{StepFindController, p.find},
		{StepAuthenticate, p.authenticate},
		{StepConnect, p.connect},
		{StepReadPassword, p.read},
		{StepImpersonate, p.impersonate},
		{StepWhoAmI, p.whoAmI},
		{StepServiceTicket, p.serviceTicket},
	}
	if p.r.SPN == "" {
		steps = steps[:len(steps)-1]
	}
	for _, s := range steps {
		start := time.Now()
		detail, err := s.do()
		step := Step{Name: s.name, Duration: time.Since(start), Detail: detail, Err: err}
		p.proof.Steps = append(p.proof.Steps, step)
		if p.observe != nil {
			p.observe(step)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *prover) find() (string, error) {
	dc, err := p.c.FindController(p.ctx)
	if err != nil {
		return "", err
	}
	p.proof.DC = dc
	return dc.String(), nil
}

func (p *prover) authenticate() (string, error) {
	if d := p.r.UserDomain; d != "" && !p.sameDomain(d) {
		return "", p.c.errorAt("authenticate "+p.r.User, nil, fail(UnknownUser, fmt.Errorf(
			"the plugin user is of domain %s; trusts are not followed: %w", d, errors.ErrUnsupported)))
	}
	id, err := p.c.Authenticate(p.ctx, p.proof.DC, p.r.User, p.r.Password)
	if err != nil {
		return "", err
	}
	p.user = id
	return id.Principal, nil
}

// sameDomain compares with both names; without a NetBIOS name, any name
// without a dot may be it.
func (p *prover) sameDomain(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if strings.EqualFold(name, p.c.domain) {
		return true
	}
	if p.r.NetBIOS == "" {
		return !strings.Contains(name, ".")
	}
	return strings.EqualFold(name, p.r.NetBIOS)
}

func (p *prover) connect() (string, error) {
	s, err := p.user.Open(p.ctx)
	if err != nil {
		return "", err
	}
	p.session = s
	return s.Transport, nil
}

func (p *prover) read() (string, error) {
	mp, err := p.session.ReadManagedPassword(p.ctx, p.r.Account)
	if err != nil {
		return "", err
	}
	p.password = mp
	return fmt.Sprintf("%s, whose password stays for %s at least", mp.Account, inDays(mp.UnchangedFor)), nil
}

func (p *prover) impersonate() (string, error) {
	id, err := p.c.Impersonate(p.ctx, p.proof.DC, p.password)
	if err != nil {
		return "", err
	}
	p.gmsa, p.proof.Principal, p.proof.Expires = id, id.Principal, id.Expires
	return "ticket of " + id.Principal + " until " + id.Expires.UTC().Format(time.RFC3339), nil
}

func (p *prover) whoAmI() (string, error) {
	s, err := p.gmsa.Open(p.ctx)
	if err != nil {
		return "", err
	}
	defer s.Close()
	who, err := s.WhoAmI(p.ctx)
	if err != nil {
		return "", err
	}
	if !strings.HasSuffix(strings.ToLower(who), `\`+strings.ToLower(p.password.Account)+"$") {
		return "", p.c.errorAt("ask who "+p.gmsa.Principal+" is", p.proof.DC, failf(Refused, "the answer is %q", who))
	}
	p.proof.AuthzID = who
	return who, nil
}

func (p *prover) serviceTicket() (string, error) {
	t, err := p.gmsa.ServiceTicket(p.ctx, p.r.SPN)
	if err != nil {
		return "", err
	}
	p.proof.Ticket = t
	return fmt.Sprintf("%s (%s)", t.Service, t.Encryption), nil
}

// inDays rounds as a person would: a gMSA's password lives for weeks.
func inDays(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
