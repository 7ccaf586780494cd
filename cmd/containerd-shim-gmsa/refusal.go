package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// A refusal is why a container that asks is not started. containerd prints it,
// and Kubernetes stores it in an event, so it is one line.
type refusal struct {
	key   hook.Key
	ref   string
	cause error
	next  string // what to do about it
}

func (r *refusal) Error() string {
	return fmt.Sprintf("gmsa-agent: %s/%s was not started: it asks for the credential spec %s: %s; next: %s",
		r.key.Namespace, r.key.ID, shown(r.ref), oneLine(r.cause.Error()), r.next)
}

func (r *refusal) Unwrap() error { return r.cause }

// unreachable says that the agent was not asked.
type unreachable struct{ cause error }

func (u *unreachable) Error() string { return "the agent cannot be reached: " + u.cause.Error() }
func (u *unreachable) Unwrap() error { return u.cause }

// nextStep returns what to do about err, which came from asking the agent for
// the container id.
func nextStep(err error, id string) string {
	if _, ok := errors.AsType[*wire.Refusal](err); ok {
		return "gmsa-agent containers inspect " + id
	}
	if _, ok := errors.AsType[*channel.UntrustedServerError](err); ok {
		return "find out which program took the agent's endpoint"
	}
	return "gmsa-agent status"
}

// maxShown bounds a reference and a cause in a message, in bytes: Kubernetes
// cuts the message of an event at 1,024.
const maxShown = 400

// shown returns a reference as it may be printed. A document is not, nor are the
// parts of a URL that can hold a secret.
func shown(ref string) string {
	ref = strings.TrimSpace(ref)
	scheme, rest, hasScheme := strings.Cut(ref, "://")
	if strings.HasSuffix(strings.ToLower(scheme), "raw") || strings.ContainsAny(ref, "{}[]<>\"\r\n") {
		return fmt.Sprintf("that it brings itself (%d bytes)", len(ref))
	}
	if hasScheme {
		authority, path, hasPath := strings.Cut(rest, "/")
		if at := strings.LastIndex(authority, "@"); at >= 0 {
			authority = authority[at+1:]
		}
		ref = scheme + "://" + authority
		if hasPath {
			ref += "/" + path
		}
	}
	if before, _, hasQuery := strings.Cut(ref, "?"); hasQuery {
		ref = before + "?…"
	}
	return fmt.Sprintf("%q", cut(ref))
}

// oneLine returns text without line breaks and other control characters.
func oneLine(text string) string {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	return cut(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text))
}

func cut(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "…"
}
