package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/daemon"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// The steps before the directory's.
const (
	stepResolve  = "resolve"
	stepValidate = "validate"
	stepPolicy   = "policy"
	stepSecret   = "choose-secret"
	stepFetch    = "fetch-plugin-user"
)

// verification goes the way of a credential spec from its reference to a
// ticket as its gMSA.
type verification struct {
	session   *session
	cfg       *config.Config
	arg       string // what to verify, as typed
	secretArg string // the secret to use instead of the chosen one, or empty
	spn       string
	observe   func(directory.Step)

	settings   agent.Settings
	name       string // of what is verified, safe to show
	document   credspec.Document
	spec       *credspec.Spec
	netbios    string // of the domain, as far as it is believed; see agent.CheckDomain
	secret     secrets.Ref
	credential *secrets.Credential

	steps []directory.Step
	proof *directory.Proof
}

// verifyError is what ended a verification, or another talk with a directory,
// with what a hint needs to be exact.
type verifyError struct {
	step   string
	name   string // of what is verified
	secret secrets.Ref
	domain string // DNS name
	user   string // the plugin user
	gmsa   string // without "$"
	spn    string
	flags  bool // the command takes --dc, --dns and --ca-file
	err    error
}

func (e *verifyError) Error() string { return e.err.Error() }
func (e *verifyError) Unwrap() error { return e.err }

func (v *verification) run(ctx context.Context) error {
	defer func() { v.credential.Wipe() }()
	v.name = safeName(v.arg)
	if err := v.open(); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) (detail string, err error)
	}{
		{stepResolve, v.resolve},
		{stepValidate, v.validate},
		{stepPolicy, v.policy},
		{stepSecret, v.chooseSecret},
		{stepFetch, v.fetch},
	} {
		start := time.Now()
		detail, err := step.do(ctx)
		v.done(directory.Step{Name: step.name, Duration: time.Since(start), Detail: detail, Err: err})
		if err != nil {
			return v.failure(step.name, err)
		}
	}
	return v.prove(ctx)
}

func (v *verification) done(step directory.Step) {
	v.steps = append(v.steps, step)
	if v.observe != nil {
		v.observe(step)
	}
}

func (v *verification) failure(step string, err error) error {
	e := &verifyError{step: step, name: v.name, secret: v.secret, spn: v.spn, err: err}
	if v.spec != nil {
		e.domain, e.gmsa = v.spec.DomainJoinConfig.DnsName, v.spec.DomainJoinConfig.MachineAccountName
	}
	if v.credential != nil {
		e.user = v.credential.User
	}
	return e
}

func (v *verification) open() error {
	specs, err := openSources(v.cfg)
	if err != nil {
		return err
	}
	store, err := openStores(v.cfg)
	if err != nil {
		return err
	}
	joined, err := daemon.DomainJoined(v.cfg.DomainJoined)
	if err != nil {
		return err
	}
	v.settings = agent.Settings{
		Specs: specs, Secrets: store, Local: store,
		Serve: v.cfg.Secrets.Serve, Policy: v.cfg.Policy, Adopt: v.cfg.Adopt, DomainJoined: joined,
	}
	return nil
}

func (v *verification) resolve(ctx context.Context) (string, error) {
	doc, err := v.session.document(ctx, v.settings.Specs, v.arg)
	if err != nil {
		return "", err
	}
	v.document = doc.Document
	return doc.Origin, nil
}

func (v *verification) validate(context.Context) (string, error) {
	problems := credspec.Validate(v.document.Data)
	var texts []string
	for _, p := range problems {
		if p.Severity == credspec.SeverityError {
			texts = append(texts, fmt.Sprintf("%d:%d: %s: %s", p.Line, p.Column, p.Path, p.Message))
		}
	}
	if len(texts) > 0 {
		return "", fmt.Errorf("credential spec %s: %w: %s", v.name, fault.ErrMalformed, strings.Join(texts, "; "))
	}
	spec, err := credspec.Parse(v.document.Data)
	if err != nil {
		return "", err
	}
	v.spec = spec
	detail := spec.DomainJoinConfig.MachineAccountName + " of " + spec.DomainJoinConfig.DnsName
	if len(problems) > 0 {
		detail += ", " + counted(len(problems), "warning")
	}
	return detail, nil
}

// policy asks what the policy can say without a container: whether there is a
// rule for the domain and its accounts.
func (v *verification) policy(context.Context) (string, error) {
	if v.cfg.Policy.Allow == nil {
		return "allows every container", nil
	}
	var whoever config.Policy
	for _, rule := range v.cfg.Policy.Allow {
		whoever.Allow = append(whoever.Allow, config.Rule{Domains: rule.Domains, Accounts: rule.Accounts})
	}
	if err := agent.Permit(whoever, hook.Facts{}, v.spec, ""); err != nil {
		return "", err
	}
	if agent.Permit(v.cfg.Policy, hook.Facts{}, v.spec, "") == nil {
		return "allows every container", nil
	}
	return "allows the containers that fit a rule", nil
}

func (v *verification) chooseSecret(ctx context.Context) (string, error) {
	if v.secretArg != "" {
		ref, err := secrets.ParseRef(v.secretArg)
		if err != nil {
			return "", fmt.Errorf("--secret: %w", err)
		}
		v.secret, v.netbios = ref, v.spec.DomainJoinConfig.NetBiosName
		return ref.String(), nil
	}
	choice, err := agent.ChooseSecret(ctx, &v.settings, v.document, v.spec)
	if err != nil {
		return "", err
	}
	if choice.Passed != "" {
		return "", &notOurs{why: choice.Passed, hostAccount: choice.HostAccount}
	}
	v.secret, v.netbios = choice.Secret, choice.NetBIOS
	return v.secret.String(), nil
}

// notOurs says that the agent would leave the document as it is.
type notOurs struct {
	why         string
	hostAccount bool // CCG will use the account of this host
}

func (e *notOurs) Error() string {
	return "the agent would leave the document as it is, and has no plugin user to go on with: " + e.why
}

func (e *notOurs) Unwrap() error { return errors.ErrUnsupported }

func (v *verification) fetch(ctx context.Context) (string, error) {
	credential, err := v.settings.Secrets.Fetch(ctx, v.secret)
	if err != nil {
		return "", err
	}
	v.credential = credential
	if err := agent.CheckDomain(v.secret, credential, v.spec.DomainJoinConfig.DnsName, v.netbios); err != nil {
		return "", err
	}
	detail := credential.User + " of " + credential.Domain
	for _, w := range secrets.Warnings(credential) {
		detail += "; " + w
	}
	return detail, nil
}

func (v *verification) prove(ctx context.Context) error {
	d := v.spec.DomainJoinConfig
	domain := v.cfg.Directory.Domains[strings.ToLower(d.DnsName)]
	proof, err := directory.Prove(ctx, directory.Config{DNS: domain.DNS, Controllers: domain.Controllers, CAFile: domain.CAFile}, directory.Request{
		Domain: d.DnsName, NetBIOS: d.NetBiosName, Account: d.MachineAccountName,
		UserDomain: v.credential.Domain, User: v.credential.User, Password: v.credential.Password.Bytes(),
		SPN: v.spn,
	}, v.done)
	v.proof = proof
	if err == nil {
		return nil
	}
	step := ""
	if n := len(proof.Steps); n > 0 {
		step = proof.Steps[n-1].Name
	}
	return v.failure(step, err)
}
