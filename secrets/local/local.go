// Package local keeps secrets in encrypted files beside the agent.
//
// Each secret is a file of its own, NAME.secret, in one folder. So a file that
// is damaged costs one secret and not all, a secret is replaced or removed by
// the one step that file systems do atomically, and whether a secret is still
// the one that was fetched can be seen from the file's times without opening
// it.
//
// A file is a line that names the format, a line of JSON with what isn't
// secret (name, domain, user), and the sealed password, padded to one length
// for all. Both lines are bound to the password: a file that was renamed, or
// got another one's password, domain or user, does not open. XChaCha20-Poly1305
// seals. Its key is random: on Windows there is one for each file, protected by
// DPAPI for the machine; elsewhere there is one for the store, in the file
// store.key. Either way whoever may read the folder as the agent does can open
// what is in it: the folder's permissions are the protection, the seal covers
// copies that leave the host without the key.
//
// A secret is written to a temporary file that replaces the old one when it is
// on disk, under a lock that other processes respect. Readers take no lock:
// they see the old file or the new one.
//
// The package refuses to know the store's users and what secrets are for.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of this store's references.
const Scheme = "local"

const (
	suffix   = ".secret"
	lockName = ".lock"
	keyName  = "store.key"
)

// Store is a secrets.Store, Lister and Verifier. Any number of Stores and
// processes may use one folder at the same time.
type Store struct {
	dir  string
	seal keeper
	step func(name string) error // of a write; tests stop there
}

var (
	_ secrets.Store    = (*Store)(nil)
	_ secrets.Lister   = (*Store)(nil)
	_ secrets.Verifier = (*Store)(nil)
)

// Open returns the store in the folder dir, which is made if it does not
// exist, along with the folders above it, so that only administrators (root)
// may use it. A folder that others may change is refused with
// fault.ErrDenied, on Windows also one that others may read.
func Open(dir string) (*Store, error) {
	if dir == "" {
		return nil, fmt.Errorf("local secrets: %w: no folder is given", fault.ErrMalformed)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("local secrets: %w", kind(err))
	}
	if err := private.Folder(dir); err != nil {
		return nil, fmt.Errorf("local secrets: %w", kind(err))
	}
	return &Store{dir: dir, seal: newKeeper(dir)}, nil
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// Fetch reads and opens one secret.
func (s *Store) Fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	c, err := s.fetch(ctx, ref)
	if err != nil {
		return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: err}
	}
	return c, nil
}

func (s *Store) fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	name, err := refName(ref)
	if err != nil {
		return nil, err
	}
	if err := interrupted(ctx); err != nil {
		return nil, err
	}
	path := s.path(name)
	b, stamp, err := readFile(path)
	if err != nil {
		return nil, kind(err)
	}
	f, err := decodeFor(name, b)
	if err != nil {
		return nil, at(path, err)
	}
	if by := f.header.Sealed; by != s.seal.sealedBy() {
		return nil, at(path, errSealedElsewhere(by))
	}
	key, err := s.seal.key(false)
	if err != nil {
		return nil, err
	}
	defer key.wipe()
	if key.id() != f.header.Key {
		return nil, at(path, fmt.Errorf("%w: sealed with a key that is not this store's", fault.ErrMalformed))
	}
	plain, err := key.unseal(f.sealed, f.bound)
	if err != nil {
		return nil, at(path, err)
	}
	defer clear(plain)
	password, err := unpad(plain)
	if err != nil {
		return nil, at(path, err)
	}
	c := &secrets.Credential{
		Domain:   f.header.Domain,
		User:     f.header.User,
		Password: secrets.New(password),
		Version:  stamp.version(),
	}
	if err := c.Validate(); err != nil {
		c.Wipe()
		return nil, at(path, err)
	}
	return c, nil
}

// List reads the readable part of every file; no password is opened.
func (s *Store) List(ctx context.Context) ([]secrets.Entry, error) {
	names, err := s.names()
	if err != nil {
		return nil, &secrets.Error{Op: "list", Err: kind(err)}
	}
	var entries []secrets.Entry
	for _, name := range names {
		if err := interrupted(ctx); err != nil {
			return nil, &secrets.Error{Op: "list", Err: err}
		}
		ref := secrets.Ref{Scheme: Scheme, Rest: name}
		e := secrets.Entry{Ref: ref}
		path := s.path(name)
		b, stamp, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err == nil {
			e.Version, e.Modified = stamp.version(), stamp.modified
			var f file
			if f, err = decodeFor(name, b); err == nil {
				e.Domain, e.User = f.header.Domain, f.header.User
			} else {
				err = at(path, err)
			}
		}
		if err != nil {
			e.Err = &secrets.Error{Op: "list", Ref: ref, Err: kind(err)}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Current compares the file's identity and times with those of the fetch.
func (s *Store) Current(_ context.Context, ref secrets.Ref, version string) bool {
	name, err := refName(ref)
	if err != nil {
		return false
	}
	st, err := stat(s.path(name))
	return err == nil && st.version() == version
}

// names returns the names of all files that are secrets, sorted.
func (s *Store) names() ([]string, error) {
	files, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), suffix)
		if !ok {
			continue
		}
		if n, err := refName(secrets.Ref{Scheme: Scheme, Rest: name}); err == nil && n == name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name+suffix) }

// refName checks a reference, which anybody may have made, and returns the
// secret's name.
func refName(ref secrets.Ref) (string, error) {
	if ref.Scheme != Scheme {
		return "", fmt.Errorf("%w: not a reference to the local store", fault.ErrMalformed)
	}
	r, err := secrets.ParseRef(ref.String())
	if err != nil {
		return "", err
	}
	return r.Rest, nil
}

func interrupted(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", fault.ErrUnavailable, context.Cause(ctx))
}

// at names the file in an error.
func at(path string, err error) error { return fmt.Errorf("%s: %w", path, err) }

// kind gives an error of the operating system, which names the file already,
// one of the kinds that a Store's errors have.
func kind(err error) error {
	switch {
	case errors.Is(err, fault.ErrNotFound), errors.Is(err, fault.ErrDenied), errors.Is(err, fault.ErrUnavailable),
		errors.Is(err, fault.ErrMalformed), errors.Is(err, errors.ErrUnsupported):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", fault.ErrNotFound, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", fault.ErrDenied, err)
	}
	return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
}
