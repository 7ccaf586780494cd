//go:build !windows

package local

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/unix"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// keyFile keeps a random key in a file beside the secrets.
type keyFile struct{ dir string }

func newKeeper(dir string) keeper { return keyFile{dir} }

func (keyFile) sealedBy() string { return byXChaCha }

func (k keyFile) key(create bool) (key, error) {
	path := filepath.Join(k.dir, keyName)
	b, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		b = make([]byte, chacha20poly1305.KeySize)
		_, _ = rand.Read(b) // never fails
		if err := private.Replace(k.dir, keyName, b, private.Replacing{}); err != nil {
			clear(b)
			return nil, kind(err)
		}
		return aeadKey(b), nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		// Not ErrNotFound: the secret is there, what opens it is not.
		return nil, fmt.Errorf("%w: the key file %s is missing", fault.ErrUnavailable, path)
	}
	if err != nil {
		return nil, kind(err)
	}
	return aeadKey(b), nil
}

// readKey refuses a key that others may know or have chosen.
func readKey(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	mode := uint32(st.Mode)
	switch {
	case mode&unix.S_IFMT != unix.S_IFREG:
		return nil, fmt.Errorf("%w: key file %s is not a regular file", fault.ErrDenied, path)
	case mode&0o077 != 0:
		return nil, fmt.Errorf("%w: key file %s has mode %#o, but others must have no access (0600)", fault.ErrDenied, path, mode&0o777)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return nil, fmt.Errorf("%w: key file %s belongs to uid %d, neither root nor this process", fault.ErrDenied, path, st.Uid)
	}
	b, err := io.ReadAll(io.LimitReader(f, chacha20poly1305.KeySize+1))
	if err == nil && len(b) != chacha20poly1305.KeySize {
		err = fmt.Errorf("%w: key file %s has not %d bytes", fault.ErrMalformed, path, chacha20poly1305.KeySize)
	}
	if err != nil {
		clear(b)
		return nil, err
	}
	return b, nil
}
