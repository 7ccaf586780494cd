package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// terminalOf says whether r is a terminal that a person can be asked at.
func terminalOf(r io.Reader) (fd int, ok bool) {
	f, isFile := r.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	return int(f.Fd()), true
}

// askPassword asks for a new password twice, without echo.
func (s *session) askPassword(ctx context.Context, fd int) (secrets.Secret, error) {
	first, err := s.askLine(ctx, fd, "Password: ")
	if err != nil {
		return secrets.Secret{}, err
	}
	if first.IsZero() {
		return secrets.Secret{}, usagef("the password is empty")
	}
	second, err := s.askLine(ctx, fd, "The same again: ")
	if err != nil {
		first.Wipe()
		return secrets.Secret{}, err
	}
	defer second.Wipe()
	if !first.Equal(second) {
		first.Wipe()
		return secrets.Secret{}, usagef("the two passwords differ: nothing was stored")
	}
	return first, nil
}

// askLine reads one line without echo. An interrupt gives the terminal its echo back.
func (s *session) askLine(ctx context.Context, fd int, prompt string) (secrets.Secret, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return secrets.Secret{}, fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(s.stderr, prompt)
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		// The read itself cannot be ended; the process is about to.
		_ = term.Restore(fd, before)
		fmt.Fprintln(s.stderr)
		return secrets.Secret{}, errors.New("interrupted: nothing was done")
	case l := <-read:
		fmt.Fprintln(s.stderr)
		if l.err != nil {
			return secrets.Secret{}, fmt.Errorf("terminal: %w", l.err)
		}
		return secrets.New(l.text), nil
	}
}
