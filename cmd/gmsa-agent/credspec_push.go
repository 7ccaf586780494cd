package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/oci"
	"github.com/gmsa-agent/gmsa-agent/internal/daemon"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// pushTimeout bounds a push: ten requests, and at most 1 MiB to send.
const pushTimeout = time.Minute

// pushed is the answer of "credspec push" in JSON.
type pushed struct {
	Ref       string `json:"ref"`                // as given
	Pinned    string `json:"pinned"`             // as given, with the document's digest
	Artifact  string `json:"artifact"`           // by the manifest's digest
	Digest    string `json:"digest"`             // of the document: SHA-256, in hexadecimal
	Unchanged bool   `json:"unchanged"`          // it was there
	Replaced  string `json:"replaced,omitempty"` // the artifact that the tag named before
}

// pushError says that a document was not pushed.
type pushError struct {
	ref credspec.Ref
	err error
}

func (e *pushError) Error() string { return fmt.Sprintf("push to %v: %v", e.ref, e.err) }
func (e *pushError) Unwrap() error { return e.err }

// notPushable says that a document has errors, which have been listed.
type notPushable struct{ name string }

func (e *notPushable) Error() string {
	return fmt.Sprintf("credential spec %s is not valid, and is not pushed", e.name)
}

func (e *notPushable) Unwrap() error { return fault.ErrMalformed }

func (s *session) credspecPushCommand() *cli.Command {
	return &cli.Command{
		Name:      "push",
		Usage:     "store a credential spec in an OCI registry",
		ArgsUsage: "REF FILE",
		Description: "REF is oci://REGISTRY/REPOSITORY:TAG; FILE is \"-\" for standard input. A document that is not\n" +
			"valid is not pushed. Credentials are those of credential_specs.oci in the configuration.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Usage: "push a document that is not valid"},
			outputFlag(),
		},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 2, 2, "REF and FILE"); err != nil {
				return err
			}
			ref, err := pushRef(c.Args().Get(0))
			if err != nil {
				return err
			}
			cfg, err := s.config(c)
			if err != nil {
				return err
			}
			registry, err := oci.New(daemon.OCI(cfg.CredentialSpecs.OCI))
			if err != nil {
				return err
			}
			doc, err := s.fileDocument(c.Args().Get(1))
			if err != nil {
				return err
			}
			if err := s.checkPush(doc, c.Bool("force")); err != nil {
				return err
			}
			answer, err := push(c.Context, registry, ref, doc)
			if err != nil {
				return &pushError{ref, err}
			}
			return s.answer(c, answer, func(w io.Writer) error { return s.printPushed(w, answer) })
		},
	}
}

// pushRef wants a reference that can be pushed to.
func pushRef(arg string) (credspec.Ref, error) {
	ref, err := credspec.ParseRef(arg)
	switch {
	case err != nil:
		return credspec.Ref{}, &usageError{err: err}
	case ref.Scheme != oci.Scheme:
		return credspec.Ref{}, usagef("%v is not oci://REGISTRY/REPOSITORY:TAG: documents are pushed to OCI registries", ref)
	}
	if err := oci.CheckPush(ref); err != nil {
		return credspec.Ref{}, usagef("%v: %w", ref, err)
	}
	return ref, nil
}

// checkPush lists what is wrong with a document on standard error, and refuses
// one with errors.
func (s *session) checkPush(doc document, force bool) error {
	v := verdict{Ref: doc.name, Problems: credspec.Validate(doc.Data), shown: excerptOf(doc.Data)}
	v.Valid = credspec.Valid(v.Problems)
	if len(v.Problems) == 0 {
		return nil
	}
	plain := *s
	plain.colour = palette{} // which is standard output's
	if err := plain.printVerdict(s.stderr, v); err != nil {
		return err
	}
	if !v.Valid && !force {
		return &notPushable{doc.name}
	}
	return nil
}

func push(ctx context.Context, registry *oci.Source, ref credspec.Ref, doc document) (pushed, error) {
	short, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	done, err := registry.Push(short, ref, doc.Data)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("not done within %v: %w", pushTimeout, fault.ErrUnavailable)
	}
	if err != nil {
		return pushed{}, err
	}
	pinned := ref
	pinned.SHA256 = doc.Digest
	return pushed{
		Ref: ref.String(), Pinned: pinned.String(), Artifact: done.Ref, Digest: doc.Digest,
		Unchanged: done.Unchanged, Replaced: done.Replaced,
	}, nil
}

func (s *session) printPushed(w io.Writer, p pushed) error {
	switch {
	case p.Unchanged:
		fmt.Fprintf(s.stderr, "note: %s has this document already\n", printable(p.Ref))
	case p.Replaced != "":
		fmt.Fprintf(s.stderr, "note: %s named the artifact %s before\n", printable(p.Ref), printable(p.Replaced))
	}
	return table(w, [][]string{{"artifact", p.Artifact}, {"pinned", p.Pinned}, {"digest", "sha256=" + p.Digest}})
}
