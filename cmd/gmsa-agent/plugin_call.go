package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin/activation"
)

// pluginCallTimeout is more than the plugin takes for an answer, 15 s, and less
// than COM waits for a host that does not start, 2 minutes.
const pluginCallTimeout = time.Minute

// pluginCall is the answer of "plugin call" in JSON.
type pluginCall struct {
	Result       string  `json:"result"` // the HRESULT in hexadecimal
	Name         string  `json:"name"`
	Meaning      string  `json:"meaning"`
	Remedy       string  `json:"remedy"`
	Probe        bool    `json:"probe"`   // no grant was redeemed
	Reached      bool    `json:"reached"` // the agent itself answered
	Domain       string  `json:"domain,omitempty"`
	User         string  `json:"user,omitempty"`
	Milliseconds float64 `json:"milliseconds"`
}

func (s *session) pluginCallCommand() *cli.Command {
	return &cli.Command{
		Name:  "call",
		Usage: "activate the plugin as CCG does, and ask it for a redemption",
		Description: "Without a grant the plugin is given an input that is none, which the agent refuses: that shows that the class can\n" +
			"be activated in a host of its own and that the host reaches the agent. The agent's audit has the refusal.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "grant-file", Usage: "redeem the grant token in `FILE`, or on standard input for -"},
			&cli.DurationFlag{Name: "timeout", Value: pluginCallTimeout, Usage: "give up after `TIME`"},
			outputFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			if c.Duration("timeout") <= 0 {
				return usagef("--timeout: %v is no time to wait", c.Duration("timeout"))
			}
			if _, err := localMachine(); err != nil {
				return err
			}
			input, probe := activation.Probe, true
			if name := c.String("grant-file"); name != "" {
				token, err := s.readGrant(name)
				if err != nil {
					return err
				}
				input, probe = token, false
			}
			ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
			defer cancel()
			start := time.Now()
			answer, err := activation.Call(ctx, input)
			if err != nil {
				return &pluginError{err}
			}
			result := pluginCallOf(answer, probe)
			result.Milliseconds = float64(time.Since(start).Microseconds()) / 1000
			if err := s.answer(c, result, func(w io.Writer) error { return result.text(w) }); err != nil {
				return err
			}
			if !result.ok() {
				return errNotValid
			}
			return nil
		},
	}
}

// maxGrantFile is far more than a grant token; what is longer is another file.
const maxGrantFile = 4 << 10

// readGrant reads a grant token. Nothing that is read is repeated in an error.
func (s *session) readGrant(name string) (string, error) {
	r := s.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, maxGrantFile+1))
	defer clear(b)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if len(b) > maxGrantFile {
		return "", usagef("%s: has more than %d bytes, which is no grant token", name, maxGrantFile)
	}
	token := strings.TrimRight(string(b), "\r\n")
	if token == "" {
		return "", usagef("%s: there is no grant token in it", name)
	}
	if strings.ContainsRune(token, 0) {
		return "", usagef("%s: holds a NUL, which no grant token does", name)
	}
	return token, nil
}

// answeredByAgent are the results that only an agent's answer gives.
var answeredByAgent = map[ccgplugin.HRESULT]bool{
	ccgplugin.OK: true, ccgplugin.EMalformed: true, ccgplugin.EUnknownGrant: true, ccgplugin.EDenied: true,
	ccgplugin.EUnavailable: true, ccgplugin.EUnsupported: true, ccgplugin.EInternal: true, ccgplugin.ENotFound: true,
}

func pluginCallOf(answer activation.Answer, probe bool) pluginCall {
	call := pluginCall{
		Result: fmt.Sprintf("0x%08X", uint32(answer.Result)), Probe: probe, Reached: answeredByAgent[answer.Result],
		Domain: answer.Domain, User: answer.User,
	}
	if e, ok := answer.Result.Explain(); ok {
		call.Name, call.Meaning, call.Remedy = e.Name, e.Meaning, e.Remedy
	}
	switch {
	case probe && answer.Result == ccgplugin.EMalformed:
		call.Meaning = "The agent was reached and refused what is no grant, as it should."
		call.Remedy = "None."
	case answer.Result == ccgplugin.EDenied:
		// The usual case of this command: its plugin host is not CCG's.
		call.Meaning = "The agent was reached and refused this plugin host, which runs as you and not as CCG."
		call.Remedy = "None, if you are no service's account: that the agent answers is all that you can see. " + cmp.Or(call.Remedy, "")
	}
	return call
}

// ok says whether the call showed what it was made for.
func (p pluginCall) ok() bool {
	if p.Probe {
		return p.Name == "GMSA_E_NOT_A_GRANT" || p.Name == "GMSA_E_DENIED"
	}
	return p.Name == "S_OK"
}

func (p pluginCall) text(w io.Writer) error {
	rows := [][]string{
		{"result", strings.TrimSpace(p.Name + " " + p.Result)}, {"meaning", p.Meaning}, {"remedy", p.Remedy},
	}
	if p.Domain != "" {
		rows = append(rows, []string{"domain", p.Domain}, []string{"user", p.User})
	}
	return table(w, append(rows, []string{"took", fmt.Sprintf("%.1f ms", p.Milliseconds)}))
}

// ofActivation is the hint for a plugin that could not be reached.
func ofActivation(s *session, err error) string {
	if failed, ok := errors.AsType[*activation.Error](err); ok {
		if f, ok := activation.Explain(failed.Result); ok {
			return strings.ReplaceAll(strings.TrimSuffix(f.Remedy, "."), "`", "") + "; see the registration: " + s.again("plugin status")
		}
	}
	return "see the registration: " + s.again("plugin status")
}
