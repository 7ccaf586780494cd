package gcpsecretmanager

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// maxFile bounds a credentials file and a subject token, in bytes. A key file
// has 2.5 KiB; SAML assertions are the longest.
const maxFile = 64 << 10

// readFile reads a file that check has nothing against. Its errors go on after
// the path, and wrap fault.ErrUnavailable: whatever is wrong with a file of
// ours, nobody was asked for a secret.
func readFile(path string, check func(string) error) ([]byte, error) {
	if err := check(path); err != nil {
		return nil, fmt.Errorf("is not used: %w: %w", kindless(err), fault.ErrUnavailable)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w: %w", kindless(err), fault.ErrUnavailable)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		clear(b)
		return nil, fmt.Errorf("cannot be read: %w: %w", kindless(err), fault.ErrUnavailable)
	case len(b) > maxFile:
		clear(b)
		return nil, fmt.Errorf("is longer than %d bytes: %w", maxFile, fault.ErrUnavailable)
	}
	return b, nil
}

// anybody's file may be read: its place is somebody else's to protect.
func anybodys(string) error { return nil }

// kindless is an error without its fault kind, for one that has another.
func kindless(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return errors.New(err.Error())
}
