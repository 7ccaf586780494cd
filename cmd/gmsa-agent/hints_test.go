package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

func TestEveryAnswerOfADomainControllerHasAHint(t *testing.T) {
	// These have no remedy of their own: the error itself says what it can.
	none := map[directory.Kind]bool{directory.Refused: true, directory.Malformed: true}
	s := newSession(nil, &bytes.Buffer{}, &bytes.Buffer{})
	for kind := directory.Refused; kind <= directory.NoTicket; kind++ {
		for _, step := range []string{directory.StepAuthenticate, directory.StepImpersonate} {
			err := &verifyError{
				step: step, secret: secrets.Ref{Scheme: "local", Rest: "contoso"}, domain: "contoso.com", user: "ccg", gmsa: "webapp01", spn: "http/x",
				err: &directory.Error{Op: "x", Domain: "contoso.com", Kind: kind},
			}
			hint := s.hint(err)
			if (hint == "") != none[kind] {
				t.Errorf("%s, %s: hint %q", kind, step, hint)
			}
			if strings.Contains(hint, "%!") || strings.Contains(hint, "''") {
				t.Errorf("%s, %s: hint %q", kind, step, hint)
			}
		}
	}
}

func TestAHintIsAboutTheAccountOfTheStep(t *testing.T) {
	s := newSession(nil, &bytes.Buffer{}, &bytes.Buffer{})
	locked := &directory.Error{Op: "x", Domain: "contoso.com", Kind: directory.AccountLocked}
	for step, want := range map[string]string{directory.StepAuthenticate: "ccg", directory.StepImpersonate: "'webapp01$'"} {
		hint := s.hint(&verifyError{step: step, domain: "contoso.com", user: "ccg", gmsa: "webapp01", err: locked})
		if want := "Unlock-ADAccount " + want + " "; !strings.Contains(hint, want) {
			t.Errorf("%s: %q does not contain %q", step, hint, want)
		}
	}
}

func TestErrorsReachTheTerminalWithoutItsControlCharacters(t *testing.T) {
	var stderr bytes.Buffer
	code := newSession(nil, &bytes.Buffer{}, &stderr).finish(errors.Join(fmt.Errorf("evil \x1b[2J name"), errors.New("second")))
	if got, want := stderr.String(), "error: evil \\x1b[2J name\nerror: second\n"; got != want || code != exitFailed {
		t.Errorf("got %q, exit code %d", got, code)
	}
}
