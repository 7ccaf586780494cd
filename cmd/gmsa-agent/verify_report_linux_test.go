package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// forgetful answers on a control channel as an agent that has version 3 of
// every secret cached, and remembers what it was asked.
type forgetful struct {
	endpoint string
	mu       sync.Mutex
	asked    []agent.Forget
}

func startForgetful(t *testing.T) *forgetful {
	t.Helper()
	dir, err := os.MkdirTemp("", "verify") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &forgetful{endpoint: filepath.Join(dir, "c", "control.sock")}
	l, err := channel.Listen(channel.Control, f.endpoint, channel.DefaultAllow(channel.Control))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = control.Serve(t.Context(), c, f.answer)
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return f
}

func (f *forgetful) answer(_ context.Context, req control.Request, _ func(any) error) (any, error) {
	var asked agent.Forget
	if req.Verb != agent.VerbForget {
		return nil, fmt.Errorf("verb %s: %w", req.Verb, errors.ErrUnsupported)
	}
	if err := control.Decode(req.Body, "what to forget", &asked); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, asked)
	drops := asked.Unless != "3" && (asked.Version == "" || asked.Version == "3")
	return agent.Forgotten{Secret: asked.Secret, Version: "3", Forgotten: drops}, nil
}

// tell has the outcome of a verification reported to the agent at the endpoint.
func tell(t *testing.T, endpoint string, v *verification, err error) (stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	s := newSession(nil, &out, &errs)
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.String(flagEndpoint, "", "")
	if err := flags.Parse([]string{"-" + flagEndpoint, endpoint}); err != nil {
		t.Fatal(err)
	}
	c := cli.NewContext(cli.NewApp(), flags, nil)
	c.Context = t.Context()
	s.tellAgent(c, v, err)
	return errs.String()
}

// ended is a verification that fetched a version of a secret and came to a step.
func ended(version, step string, failure error) (*verification, error) {
	v := &verification{
		secret:     secrets.Ref{Scheme: "vault", Rest: "kv/contoso"},
		credential: &secrets.Credential{Domain: "contoso.com", User: "svc", Version: version},
	}
	if step != directory.StepAuthenticate && step != directory.StepFindController {
		v.done(directory.Step{Name: directory.StepAuthenticate})
	}
	v.done(directory.Step{Name: step, Err: failure})
	if failure == nil {
		return v, nil
	}
	return v, v.failure(step, failure)
}

func TestVerifyTellsTheAgentWhatTheDirectorySaidOfThePassword(t *testing.T) {
	wrong := &directory.Error{Op: "authenticate svc", Kind: directory.WrongPassword}
	expired := &directory.Error{Op: "authenticate svc", Kind: directory.PasswordExpired}
	locked := &directory.Error{Op: "authenticate svc", Kind: directory.AccountLocked}
	const ref = "vault://kv/contoso"
	const accepted, refused = "verify: the directory accepts another version", "verify: the directory refuses it: "
	const forgotten = "note: the running agent had this secret cached, version 3, and has forgotten it\n"
	for name, test := range map[string]struct {
		version, step string
		failure       error
		want          []agent.Forget
		says          string
	}{
		"it is wrong, and cached": {
			"3", directory.StepAuthenticate, wrong,
			[]agent.Forget{{Secret: ref, Version: "3", Reason: refused + "the password is wrong"}}, forgotten,
		},
		"it has expired, of a store without versions": {
			"", directory.StepAuthenticate, expired,
			[]agent.Forget{{Secret: ref, Reason: refused + "the password has expired"}}, forgotten,
		},
		"it is wrong, and another one is cached": {
			"4", directory.StepAuthenticate, wrong,
			[]agent.Forget{{Secret: ref, Version: "4", Reason: refused + "the password is wrong"}}, "",
		},
		"nobody answers":        {"3", directory.StepFindController, &directory.Error{Op: "find", Kind: directory.Unreachable}, nil, ""},
		"the account is locked": {"3", directory.StepAuthenticate, locked, nil, ""},
		"it is right, and another one is cached": {
			"4", directory.StepWhoAmI, nil,
			[]agent.Forget{{Secret: ref, Unless: "4", Reason: accepted}}, forgotten,
		},
		"it is right, but something else is wrong": {
			"4", directory.StepReadPassword, &directory.Error{Op: "read", Kind: directory.NotAuthorized},
			[]agent.Forget{{Secret: ref, Unless: "4", Reason: accepted}}, forgotten,
		},
		"it is right, of a store without versions":          {"", directory.StepWhoAmI, nil, nil, ""},
		"the gMSA's password is wrong, the user's is right": {"3", directory.StepImpersonate, wrong, []agent.Forget{{Secret: ref, Unless: "3", Reason: accepted}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := startForgetful(t)
			v, err := ended(test.version, test.step, test.failure)
			if said := tell(t, f.endpoint, v, err); said != test.says {
				t.Errorf("it says %q", said)
			}
			if diff := cmp.Diff(test.want, f.asked); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVerifyNeedsNoAgent(t *testing.T) {
	nobody := filepath.Join(t.TempDir(), "control.sock")
	v, err := ended("3", directory.StepWhoAmI, nil)
	if said := tell(t, nobody, v, err); said != "" {
		t.Errorf("it says %q", said)
	}
	v, err = ended("3", directory.StepAuthenticate, &directory.Error{Op: "authenticate svc", Kind: directory.WrongPassword})
	said := tell(t, nobody, v, err)
	if !strings.HasPrefix(said, "note: no running agent was told ") || strings.Count(said, "\n") != 1 {
		t.Errorf("it says %q", said)
	}
	if said := tell(t, nobody, &verification{}, fmt.Errorf("no such file: %w", fault.ErrNotFound)); said != "" {
		t.Errorf("without a secret it says %q", said)
	}
}
