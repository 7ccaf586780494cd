package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func (s *session) credspecCommand() *cli.Command {
	return &cli.Command{
		Name:  "credspec",
		Usage: "check credential specs, and find where they come from",
		Subcommands: []*cli.Command{
			s.credspecValidateCommand(),
			s.credspecResolveCommand(),
			s.credspecGenerateCommand(),
			s.credspecPushCommand(),
		},
	}
}

// document is a credential spec as a command line names it.
type document struct {
	credspec.Document

	name string // for messages: the file as typed, or the reference
}

// document reads what arg names: a reference if it has the form of one,
// standard input for "-", else a file.
func (s *session) document(ctx context.Context, source credspec.Source, arg string) (document, error) {
	if !looksLikeRef(arg) {
		return s.fileDocument(arg)
	}
	ref, err := credspec.ParseRef(arg)
	if err != nil {
		return document{}, err
	}
	doc, err := source.Resolve(ctx, ref)
	return document{doc, ref.String()}, err
}

// looksLikeRef tells references from file names. A file that has such a name
// can be written as ./NAME.
func looksLikeRef(arg string) bool {
	scheme, _, found := strings.Cut(arg, "://")
	return found && !strings.ContainsAny(scheme, `/\.`) ||
		strings.HasPrefix(arg, "arn:") || strings.HasPrefix(arg, "credentialspec") || strings.HasPrefix(strings.TrimSpace(arg), "{")
}

func (s *session) fileDocument(name string) (document, error) {
	var r io.Reader = s.stdin
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return document{}, fileError(name, err)
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, credspec.MaxSize+1))
	if err != nil {
		return document{}, fileError(name, err)
	}
	if len(data) > credspec.MaxSize {
		return document{}, fmt.Errorf("credential spec %s: %w: larger than %d bytes", name, fault.ErrMalformed, credspec.MaxSize)
	}
	return document{credspec.Document{Data: data, Origin: name, Digest: credspec.Digest(data)}, name}, nil
}

func fileError(name string, err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	kind := fault.ErrUnavailable
	switch {
	case errors.Is(err, os.ErrNotExist):
		kind = fault.ErrNotFound
	case errors.Is(err, os.ErrPermission):
		kind = fault.ErrDenied
	}
	return fmt.Errorf("credential spec %s: %w: %w", name, kind, err)
}
