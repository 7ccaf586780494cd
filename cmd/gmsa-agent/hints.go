package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/file"
	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin/activation"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
)

// hints is the one table of what to do about an error: the first row whose
// kind fits, and that has something to say, speaks. A hint ends in the next
// command to type.
var hints = []struct {
	kind func(error) bool
	hint func(s *session, err error) string
}{
	{as[*usageError], func(s *session, err error) string {
		if usage, _ := errors.AsType[*usageError](err); usage.hint != "" {
			return usage.hint
		}
		return fmt.Sprintf("see what it takes: %s --help", s.command)
	}},
	{as[*config.Error], func(s *session, _ error) string {
		return "correct the file, then check it again: " + s.again("config validate")
	}},
	{both(as[*configError], is(fault.ErrNotFound)), func(*session, error) string {
		return fmt.Sprintf("without --%s the defaults do: %s config show", flagConfig, program)
	}},
	{as[*trailMissing], func(s *session, _ error) string {
		return "the agent has not run here, or its audit.file is another: " + s.again("config show")
	}},

	{as[*channel.UntrustedServerError], func(*session, error) string {
		return "somebody else serves the agent's endpoint; stop that program, then: " + program + " run"
	}},
	{both(as[*agentError], is(fault.ErrUnavailable)), func(s *session, _ error) string {
		return "is the agent running? To run it here: " + s.again("run")
	}},
	{both(as[*agentError], is(fault.ErrNotFound)), func(s *session, _ error) string {
		return "see which there are: " + s.again("containers")
	}},
	{as[*reapError], func(s *session, _ error) string {
		return "see which there are, and who has their containers: " + s.again("ccg list")
	}},
	{both(as[*runError], is(fault.ErrUnavailable)), func(s *session, _ error) string {
		return "see whether an agent runs already: " + s.again("status")
	}},
	{both(as[*gateError], is(fault.ErrUnavailable)), func(s *session, _ error) string {
		return "a gate may run already; see docker.gate.endpoint: " + s.again("config show")
	}},
	{both(as[*gateError], is(fault.ErrDenied)), func(s *session, _ error) string {
		return fmt.Sprintf("run it as an administrator (%s): %s", administrator, s.command)
	}},
	{hostAccount, func(s *session, err error) string {
		e, _ := errors.AsType[*verifyError](err)
		return "CCG will use this host's own account; see in PowerShell, on the host, whether that may: Test-ADServiceAccount " + quoted(e.gmsa)
	}},
	{as[*notOurs], func(s *session, err error) string {
		e, _ := errors.AsType[*verifyError](err)
		return "name a plugin user to go on with: " + s.again("verify --secret REF "+quoted(e.name))
	}},
	{both(atStep(stepValidate), is(fault.ErrMalformed)), func(s *session, err error) string {
		e, _ := errors.AsType[*verifyError](err)
		return "see the places in the document: " + s.again("credspec validate "+quoted(e.name))
	}},
	{both(atStep(stepPolicy), is(fault.ErrDenied)), func(s *session, _ error) string {
		return "see policy.allow: " + s.again("config show")
	}},
	{both(atStep(stepSecret), func(err error) bool { return errors.Is(err, fault.ErrDenied) && !errors.Is(err, fault.ErrNotFound) }), func(s *session, _ error) string {
		return "see policy.host_account: " + s.again("config show")
	}},
	{both(atStep(stepSecret), is(fault.ErrNotFound)), func(s *session, err error) string {
		e, _ := errors.AsType[*verifyError](err)
		return fmt.Sprintf("store one: %s --domain %s --user USER NAME", s.again("secret put"), quoted(e.domain))
	}},
	{both(atStep(stepSecret), is(fault.ErrMalformed)), func(s *session, _ error) string {
		return "see which secrets there are: " + s.again("secret list")
	}},
	{as[*directory.Error], ofDirectory},
	{as[*nobodyToAsk], func(s *session, _ error) string {
		return fmt.Sprintf("name a user with --%s, a secret with --%s, or tickets with --%s: %s --help", flagUser, flagAuthSecret, flagCache, s.command)
	}},
	{as[*fileExists], func(s *session, _ error) string {
		return "to replace it, leave out --no-clobber: " + s.command
	}},

	{as[*platformError], func(s *session, _ error) string {
		return "on the Windows host whose containers it is for: " + s.command
	}},
	{as[*unfitDLL], func(_ *session, err error) string {
		e, _ := errors.AsType[*unfitDLL](err)
		return e.difference.Remedy
	}},
	{either(as[*activation.Error], both(as[*pluginError], is(context.DeadlineExceeded))), ofActivation},
	{as[*serviceError], ofService},

	{as[*importExists], func(s *session, _ error) string {
		return "to replace what is there: " + s.again("secret import --replace --identity KEYFILE FILE")
	}},
	{both(aboutLocalSecret, is(fault.ErrNotFound)), func(s *session, _ error) string {
		return "see which there are: " + s.again("secret list")
	}},
	{both(aboutLocalSecret, is(fault.ErrMalformed)), func(s *session, err error) string {
		about, _ := errors.AsType[*secrets.Error](err)
		return "store it anew: " + s.again("secret put --domain DOMAIN --user USER "+quoted(about.Ref.Rest))
	}},
	{as[*refError], ofSecretRef},
	{both(as[*secrets.Error], not(aboutLocalSecret)), ofStore},

	{as[*notPushable], func(s *session, _ error) string {
		return "correct it, or push it as it is: " + s.again("credspec push --force REF FILE")
	}},
	{both(as[*pushError], is(fault.ErrDenied)), func(s *session, _ error) string {
		return "see as whom, in credential_specs.oci: " + s.again("config show")
	}},
	{both(as[*pushError], is(fault.ErrNotFound)), func(s *session, _ error) string {
		return "this registry wants its repositories made first; make it, then: " + s.again("credspec push REF FILE")
	}},
	{both(as[*pushError], is(fault.ErrUnavailable)), func(s *session, _ error) string {
		return "its certificates, and plain HTTP on this host, are in credential_specs.oci: " + s.again("config show")
	}},

	{both(aboutSpec(file.Scheme), is(fault.ErrNotFound)), func(s *session, _ error) string {
		return "file:// looks in credential_specs.folders; see which they are: " + s.again("config show")
	}},
	{both(as[*credspec.ResolveError], as[*outbound.CertificateError]), func(s *session, _ error) string {
		return "if its CA is to be trusted, name the file with that CA's certificate as the source's ca_file (docs/configuration.md), then: " + s.again("config validate")
	}},
	{both(as[*credspec.ResolveError], withoutToken), func(s *session, _ error) string {
		return "if it wants a token, name the file that holds it in credential_specs.https.hosts (docs/sources/https.md), then: " + s.again("config validate")
	}},
	{as[*credspec.ResolveError], ofSource},
	{both(as[*credspec.ResolveError], is(errors.ErrUnsupported)), func(s *session, _ error) string {
		return "save the document as a file, and check that: " + s.again("credspec validate FILE")
	}},

	{func(err error) bool {
		return as[*runError](err) && errors.Is(err, fault.ErrDenied) && !errors.Is(err, fs.ErrPermission)
	}, func(s *session, _ error) string {
		return "give the folder and the file to administrators alone (docs/configuration.md, Permissions), then: " + s.command
	}},
	{either(is(fs.ErrPermission), both(either(either(aboutLocalSecret, as[*agentError]), either(as[*runError], as[*pluginError])), is(fault.ErrDenied))), func(s *session, _ error) string {
		return fmt.Sprintf("run it as an administrator (%s): %s", administrator, s.command)
	}},
}

// hint is the table's advice on err; empty if there is none.
func (s *session) hint(err error) string {
	for _, row := range hints {
		if !row.kind(err) {
			continue
		}
		if hint := row.hint(s, err); hint != "" {
			return hint
		}
	}
	return ""
}

// again is a command of ours with the configuration file that this one used.
func (s *session) again(command string) string {
	words := program
	if s.configFile != "" {
		words += " --" + flagConfig + " " + quoted(s.configFile)
	}
	return words + " " + command
}

func aboutLocalSecret(err error) bool {
	about, ok := errors.AsType[*secrets.Error](err)
	return ok && about.Ref.Scheme == local.Scheme
}

// aboutSpec is for references of one scheme.
func aboutSpec(scheme string) func(error) bool {
	return func(err error) bool {
		about, ok := errors.AsType[*credspec.ResolveError](err)
		return ok && about.Ref.Scheme == scheme
	}
}

// withoutToken is for servers that deny who has shown them no token.
func withoutToken(err error) bool {
	answer, ok := errors.AsType[*https.StatusError](err)
	return ok && answer.TokenFile == "" && errors.Is(answer, fault.ErrDenied)
}

// hostAccount is for documents that pass for the host's own account.
func hostAccount(err error) bool {
	passed, ok := errors.AsType[*notOurs](err)
	return ok && passed.hostAccount
}

func atStep(name string) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[*verifyError](err)
		return ok && e.step == name
	}
}

func as[T error](err error) bool { _, ok := errors.AsType[T](err); return ok }

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func both(a, b func(error) bool) func(error) bool {
	return func(err error) bool { return a(err) && b(err) }
}

func not(a func(error) bool) func(error) bool {
	return func(err error) bool { return !a(err) }
}

func either(a, b func(error) bool) func(error) bool {
	return func(err error) bool { return a(err) || b(err) }
}
