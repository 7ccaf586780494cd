package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Put writes a secret or replaces it. The credential remains the caller's. Its
// error is as a Store's; a secret that can't be written is as it was before.
func (s *Store) Put(ctx context.Context, name string, c *secrets.Credential) error {
	ref := secrets.Ref{Scheme: Scheme, Rest: name}
	if err := s.put(ctx, ref, c); err != nil {
		return &secrets.Error{Op: "put", Ref: printable(ref), Err: err}
	}
	return nil
}

func (s *Store) put(ctx context.Context, ref secrets.Ref, c *secrets.Credential) error {
	name, err := refName(ref)
	if err != nil {
		return err
	}
	if err := c.Validate(); err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	names, err := s.names()
	if err != nil {
		return kind(err)
	}
	key, err := s.seal.key(len(names) == 0)
	if err != nil {
		return err
	}
	defer key.wipe()
	b, err := encode(name, c, s.seal.sealedBy(), key)
	if err != nil {
		return kind(err)
	}
	now, err := s.tick()
	if err != nil {
		return kind(err)
	}
	if err := private.Replace(s.dir, name+suffix, b, private.Replacing{Modified: now, Step: s.step}); err != nil {
		return kind(err)
	}
	return nil
}

// encode returns the content of a secret's file.
func encode(name string, c *secrets.Credential, sealedBy string, k key) ([]byte, error) {
	bound, err := boundLines(header{Name: name, Domain: c.Domain, User: c.User, Sealed: sealedBy, Key: k.id()})
	if err != nil {
		return nil, err
	}
	plain := pad(c.Password.Bytes())
	defer clear(plain)
	sealed, err := k.seal(plain, bound)
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(bound, uint32(len(sealed)))
	b = append(b, sealed...)
	if _, err := decodeFor(name, b); err != nil {
		return nil, fmt.Errorf("what would be written cannot be read back: %w", err)
	}
	return b, nil
}

// Remove removes a secret. One that isn't there is fault.ErrNotFound.
func (s *Store) Remove(ctx context.Context, name string) error {
	ref := secrets.Ref{Scheme: Scheme, Rest: name}
	if err := s.remove(ctx, ref); err != nil {
		return &secrets.Error{Op: "remove", Ref: printable(ref), Err: err}
	}
	return nil
}

func (s *Store) remove(ctx context.Context, ref secrets.Ref) error {
	name, err := refName(ref)
	if err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := private.Remove(s.path(name)); err != nil {
		return kind(err)
	}
	return nil
}

// printable is ref with a name that may be shown: what was given for a name may
// be anything, a password too.
func printable(ref secrets.Ref) secrets.Ref {
	if name, err := refName(ref); err == nil {
		ref.Rest = name
	} else {
		ref.Rest = "…"
	}
	return ref
}

// lockWait bounds the wait for another writer, who needs milliseconds.
const lockWait = 10 * time.Second

// lock keeps other writers out, of this process and of others, until unlock is
// called, and removes what a writer that was killed has left.
func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	if err := interrupted(ctx); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, lockName), os.O_RDWR|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return nil, kind(err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		got, err := private.TryLock(f)
		if err != nil {
			_ = f.Close()
			return nil, kind(err)
		}
		if got {
			s.removeLeftovers()
			return func() { _ = f.Close() }, nil // which unlocks
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("%w: another process is writing to %s: %w", fault.ErrUnavailable, s.dir, context.Cause(ctx))
		}
	}
}

// removeLeftovers removes temporary files. Under the lock each of them is a
// dead writer's.
func (s *Store) removeLeftovers() {
	files, _ := os.ReadDir(s.dir)
	for _, f := range files {
		if strings.HasPrefix(f.Name(), private.TempPrefix) {
			_ = os.Remove(filepath.Join(s.dir, f.Name()))
		}
	}
}

// tick returns a time that is later than that of every write before, however
// coarse or wrong the clock is: two secrets of one name never have the same
// time. The lock file's own time remembers the last one.
func (s *Store) tick() (time.Time, error) {
	path := filepath.Join(s.dir, lockName)
	before, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	last := before.ModTime()
	now := time.Now()
	// A microsecond is kept by NTFS (100 ns) and by the file systems of Linux
	// (1 ns); two seconds even by FAT.
	for _, step := range []time.Duration{time.Microsecond, 2 * time.Second} {
		if t := last.Add(step); now.Before(t) {
			now = t
		}
		if err := os.Chtimes(path, now, now); err != nil {
			return time.Time{}, err
		}
		after, err := os.Stat(path)
		if err != nil {
			return time.Time{}, err
		}
		if after.ModTime().After(last) {
			return after.ModTime(), nil
		}
	}
	return time.Time{}, errors.New("the file system of " + s.dir + " does not keep the times of files")
}
