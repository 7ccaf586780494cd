package https

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// maxToken bounds a token: few servers take a header that is longer than
// 16 KiB.
const maxToken = 16 << 10

// readToken reads a bearer token, with every request: who replaces the file
// needs to tell nobody. Whoever could change the file could have the agent
// send another one of the host's, and a token that others can read is theirs
// too: both are fault.ErrDenied. A file that is missing, can't be read or holds
// no token is fault.ErrUnavailable, for the server has not been asked, and the
// file may be half written just now.
func readToken(path string) (string, error) {
	data, err := readPrivate(path)
	if err != nil {
		return "", fmt.Errorf("token file %s: %w", path, err)
	}
	// Windows PowerShell writes files with a byte order mark.
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	switch {
	case len(data) == 0:
		return "", fmt.Errorf("token file %s is empty: %w", path, fault.ErrUnavailable)
	case bytes.ContainsFunc(data, func(r rune) bool { return r < 0x21 || r > 0x7e }):
		return "", fmt.Errorf("token file %s has more than a token, which is one line of ASCII without blanks: %w", path, fault.ErrUnavailable)
	}
	return string(data), nil
}

func readPrivate(path string) ([]byte, error) {
	switch err := private.Secret(path); {
	case errors.Is(err, fault.ErrMalformed):
		return nil, fmt.Errorf("is not a file: %w", fault.ErrUnavailable)
	case err != nil:
		return nil, withoutPath(err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case len(data) > maxToken:
		return nil, fmt.Errorf("is longer than %d bytes: %w", maxToken, fault.ErrUnavailable)
	}
	return data, nil
}

// withoutPath gives a file system's error its kind; it names the path no
// second time.
func withoutPath(err error) error {
	path, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("%w: %w", path.Err, fault.ErrUnavailable)
}
