package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// tellAgent tells a running agent what the directory said of the plugin user's
// password, so that the agent releases no cached one that is wrong. Without an
// agent there is nothing to forget: whatever goes wrong here is a note at most.
func (s *session) tellAgent(c *cli.Context, v *verification, err error) {
	forget, ok := v.verdict(err)
	if !ok {
		return
	}
	var f agent.Forgotten
	switch err := s.ask(c, agent.VerbForget, forget, &f); {
	case err != nil && forget.Unless == "":
		fmt.Fprintf(s.stderr, "note: no running agent was told that the directory does not accept this password: %s\n", printable(err.Error()))
	case err == nil && f.Forgotten:
		fmt.Fprintf(s.stderr, "note: the running agent had this secret cached%s, and has forgotten it\n", printable(versionText(f.Version)))
	}
}

// verdict is what the directory said of the password: it is wrong, and so is
// what is cached if it is the same version; or it is right, and so whatever else
// is cached is not. Of a version that the store does not name only the former
// can be said.
func (v *verification) verdict(err error) (agent.Forget, bool) {
	if v.credential == nil {
		return agent.Forget{}, false
	}
	forget := agent.Forget{Secret: v.secret.String()}
	if e, ok := errors.AsType[*verifyError](err); ok && e.step == directory.StepAuthenticate {
		said, ok := errors.AsType[*directory.Error](err)
		if !ok || !slices.Contains(wrongCredentials, said.Kind) {
			return agent.Forget{}, false
		}
		forget.Version, forget.Reason = v.credential.Version, agent.RejectedByDirectory+": "+said.Kind.String()
		return forget, true
	}
	authenticated := slices.ContainsFunc(v.steps, func(s directory.Step) bool { return s.Name == directory.StepAuthenticate && s.Err == nil })
	forget.Unless, forget.Reason = v.credential.Version, "verify: the directory accepts another version"
	return forget, authenticated && forget.Unless != ""
}

// wrongCredentials are the answers of a directory by which another version of
// the secret may help.
var wrongCredentials = []directory.Kind{directory.UnknownUser, directory.WrongPassword, directory.PasswordExpired, directory.MustChangePassword}
