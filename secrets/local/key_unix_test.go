//go:build !windows

package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func skipUnlessAdministrator(testing.TB) {} // any user may have a store

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	s := filled(t)
	for path, want := range map[string]os.FileMode{
		s.dir:                          os.ModeDir | 0o700,
		s.path("svc"):                  0o600,
		filepath.Join(s.dir, keyName):  0o600,
		filepath.Join(s.dir, lockName): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
}

func TestAKeyThatOthersMayKnowIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o601} {
		s := filled(t)
		path := filepath.Join(s.dir, keyName)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := s.Fetch(t.Context(), secretstest.Named("svc"))
		if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), path) {
			t.Errorf("mode %v: fetch: %v", mode, err)
		}
		if err := s.Put(t.Context(), "svc", secretstest.New("contoso.com", "svc", "x")); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("mode %v: put: %v", mode, err)
		}
		if err := os.Chmod(path, 0o400); err != nil {
			t.Fatal(err)
		}
		get(t, s, "svc")
	}
}

func TestAKeyThatIsNoKeyFileIsRefused(t *testing.T) {
	for what, put := range map[string]func(path string) error{
		"link":   func(path string) error { return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path)) },
		"folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"short":  func(path string) error { return os.WriteFile(path, make([]byte, 31), 0o600) },
		"long":   func(path string) error { return os.WriteFile(path, make([]byte, 33), 0o600) },
		"empty":  func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"other":  func(path string) error { return os.WriteFile(path, make([]byte, 32), 0o600) },
	} {
		s := filled(t)
		path := filepath.Join(s.dir, keyName)
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		_, err := s.Fetch(t.Context(), secretstest.Named("svc"))
		if err == nil || !strings.Contains(err.Error(), s.dir) {
			t.Errorf("%s: %v", what, err)
		}
		if what == "other" && (!errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), "not this store's")) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestALostKeyIsNotReplacedByAnotherOne(t *testing.T) {
	s := filled(t)
	path := filepath.Join(s.dir, keyName)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	_, err := s.Fetch(t.Context(), secretstest.Named("svc"))
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), path) {
		t.Errorf("fetch: %v", err)
	}
	if err := s.Put(t.Context(), "new", secretstest.New("contoso.com", "svc", "x")); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a key: %v", err)
	}
	for _, name := range []string{"svc", "twin", "good"} {
		if err := s.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), "new", secretstest.New("contoso.com", "svc", "x")); err != nil {
		t.Errorf("an empty store does not start anew: %v", err)
	}
}

func TestAFolderThatOthersMayChangeIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, mode := range []os.FileMode{0o770, 0o702, 0o777} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), dir) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	write(t, file, nil)
	if _, err := Open(file); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("a file: %v", err)
	}
	if _, err := Open(filepath.Join(file, "below")); err == nil {
		t.Error("opened below a file")
	}
	if _, err := Open(""); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("no folder: %v", err)
	}
}

func TestALinkInThePlaceOfASecretIsNotFollowed(t *testing.T) {
	s := filled(t)
	real := filepath.Join(filepath.Dir(s.dir), "elsewhere")
	if err := errors.Join(os.Rename(s.path("svc"), real), os.Symlink(real, s.path("svc"))); err != nil {
		t.Fatal(err)
	}
	if c, err := s.Fetch(t.Context(), secretstest.Named("svc")); err == nil {
		t.Errorf("fetched %v", c)
	}
	get(t, s, "good")
}
