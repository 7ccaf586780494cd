package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// verified is the answer of "verify" in JSON.
type verified struct {
	Ref       string         `json:"ref"`
	OK        bool           `json:"ok"`
	Steps     []verifiedStep `json:"steps"`               // in their order; the last one failed if ok is false
	Principal string         `json:"principal,omitempty"` // the gMSA, as its ticket has it
	Expires   *time.Time     `json:"expires,omitempty"`   // of the gMSA's ticket-granting ticket
	Service   string         `json:"service,omitempty"`   // the service's principal, with --spn
}

// verifiedStep is one step of the chain.
type verifiedStep struct {
	Name         string  `json:"name"`
	OK           bool    `json:"ok"`
	Milliseconds float64 `json:"milliseconds"`
	Detail       string  `json:"detail,omitempty"`
	Error        string  `json:"error,omitempty"`
}

func (s *session) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "do what CCG will do for a credential spec, without a container",
		ArgsUsage: "REF|FILE",
		Description: "Resolves and validates the credential spec, asks the policy, fetches the plugin user, finds a\n" +
			"domain controller, authenticates, reads the gMSA's managed password, and becomes the gMSA.\n" +
			"Every step is timed; it ends at the first that fails. The agent need not run: the secret is\n" +
			"fetched as the user who runs the command.",
		Flags: []cli.Flag{
			outputFlag(),
			&cli.StringFlag{Name: "secret", Usage: "use the plugin user in `REF`, whatever the document and the configuration say"},
			&cli.StringFlag{Name: "spn", Usage: "get the gMSA a ticket to the service `SPN`, too"},
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 1, 1, "REF or FILE"); err != nil {
				return err
			}
			cfg, err := s.config(c)
			if err != nil {
				return err
			}
			v := &verification{session: s, cfg: cfg, arg: c.Args().First(), secretArg: c.String("secret"), spn: c.String("spn")}
			if !wantsJSON(c) {
				v.observe = s.printStep
			}
			err = v.run(c.Context)
			s.tellAgent(c, v, err)
			if wantsJSON(c) {
				if failed := writeJSON(s.stdout, v.answer(err)); failed != nil {
					return failed
				}
				return err
			}
			if err == nil {
				_, err = fmt.Fprintf(s.stdout, "%sverified%s: %s\n", s.colour.good, s.colour.off, v.proof.Principal)
			}
			return err
		},
	}
}

func (v *verification) answer(err error) verified {
	a := verified{Ref: v.name, OK: err == nil, Steps: []verifiedStep{}}
	for _, step := range v.steps {
		out := verifiedStep{Name: step.Name, OK: step.Err == nil, Milliseconds: milliseconds(step.Duration), Detail: step.Detail}
		if step.Err != nil {
			out.Error = step.Err.Error()
		}
		a.Steps = append(a.Steps, out)
	}
	if v.proof != nil {
		a.Principal = v.proof.Principal
		if !v.proof.Expires.IsZero() {
			a.Expires = &v.proof.Expires
		}
		if v.proof.Ticket != nil {
			a.Service = v.proof.Ticket.Service
		}
	}
	return a
}

// printStep writes a step as it ends, which shows a person that it goes on.
func (s *session) printStep(step directory.Step) {
	mark, colour, detail := "ok", s.colour.good, step.Detail
	if step.Err != nil {
		mark, colour, detail = "FAILED", s.colour.bad, "" // the error comes on standard error
	}
	line := fmt.Sprintf("%s%-6s%s  %-*s  %s%9.1f ms%s  %s",
		colour, mark, s.colour.off, stepWidth, step.Name, s.colour.dim, milliseconds(step.Duration), s.colour.off, printable(detail))
	_, _ = io.WriteString(s.stdout, strings.TrimRight(line, " ")+"\n")
}

// stepWidth is that of the longest step.
const stepWidth = len(directory.StepReadPassword)

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
