//go:build !windows

package private

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// tree is a folder with a file that is nobody else's.
type tree struct {
	t   *testing.T
	dir string
}

func newTree(t *testing.T) tree { return tree{t, t.TempDir()} }

func (w tree) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

// file makes a file with the folders above it.
func (w tree) file(name string) string {
	w.t.Helper()
	path := w.path(name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w tree) mode(name string, mode os.FileMode) {
	w.t.Helper()
	if err := os.Chmod(w.path(name), mode); err != nil {
		w.t.Fatal(err)
	}
}

func (w tree) link(target, name string) string {
	w.t.Helper()
	if err := os.Symlink(target, w.path(name)); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// giveAway makes what is at name somebody else's.
func (w tree) giveAway(name string) {
	w.t.Helper()
	if os.Geteuid() != 0 {
		w.t.Skip("only root can give a file away")
	}
	if err := os.Lchown(w.path(name), 4242, -1); err != nil {
		w.t.Fatal(err)
	}
}

func (w tree) expect(path string, want error) {
	w.t.Helper()
	if err := File(path); !errors.Is(err, want) {
		w.t.Errorf("%s: %v, want %v", path, err, want)
	}
}

func TestAFileThatOnlyItsOwnerCanChangeIsAccepted(t *testing.T) {
	w := newTree(t)
	w.expect(w.file("a/b/config.yaml"), nil)
}

func TestAFileThatOthersCanWriteToIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o664, 0o646, 0o666} {
		w := newTree(t)
		path := w.file("a/config.yaml")
		w.mode("a/config.yaml", mode)
		w.expect(path, fault.ErrDenied)
	}
}

func TestAFileInAFolderThatOthersCanWriteToIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o775, 0o777, os.ModeSticky | 0o777} {
		w := newTree(t)
		path := w.file("a/config.yaml")
		w.mode("a", mode)
		w.expect(path, fault.ErrDenied)
	}
}

func TestAFileBelowAFolderThatOthersCanWriteToIsRefusedUnlessItIsSticky(t *testing.T) {
	w := newTree(t)
	path := w.file("a/b/config.yaml")
	w.mode("a", 0o777)
	w.expect(path, fault.ErrDenied)
	w.mode("a", os.ModeSticky|0o777)
	w.expect(path, nil)
}

func TestNothingOnTheWayMayBelongToSomebodyElse(t *testing.T) {
	for _, name := range []string{"a", "a/b", "a/b/config.yaml"} {
		w := newTree(t)
		path := w.file("a/b/config.yaml")
		w.giveAway(name)
		w.expect(path, fault.ErrDenied)
	}
}

func TestALinkIsFollowedAndWhatItLeadsToChecked(t *testing.T) {
	w := newTree(t)
	w.file("open/config.yaml")
	w.mode("open", 0o777)
	w.file("closed/config.yaml")
	w.expect(w.link("closed/config.yaml", "good.yaml"), nil)
	w.expect(w.link(w.path("open/config.yaml"), "bad.yaml"), fault.ErrDenied)
	w.link("open", "dir")
	w.expect(w.path("dir/config.yaml"), fault.ErrDenied)
}

func TestALinkOfSomebodyElseInAStickyFolderIsRefused(t *testing.T) {
	w := newTree(t)
	w.file("closed/config.yaml")
	w.file("shared/x")
	w.mode("shared", os.ModeSticky|0o777)
	path := w.link(w.path("closed/config.yaml"), "shared/config.yaml")
	w.giveAway("shared/config.yaml")
	w.expect(path, fault.ErrDenied)
}

// Kubernetes makes a ConfigMap's files links to links.
func TestTheFilesOfAConfigMapAreAccepted(t *testing.T) {
	w := newTree(t)
	w.file("..2026_11_23/config.yaml")
	w.link("..2026_11_23", "..data")
	w.expect(w.link(filepath.Join("..data", "config.yaml"), "config.yaml"), nil)
}

func TestLinksInACircleEnd(t *testing.T) {
	w := newTree(t)
	w.link("b", "a")
	w.expect(w.link("a", "b"), fault.ErrMalformed)
}

func TestAFolderInAFilesPlaceIsNoFile(t *testing.T) {
	w := newTree(t)
	w.file("a/b")
	w.expect(w.path("a"), fault.ErrMalformed)
	w.expect("/", fault.ErrMalformed)
}

func TestAFolderThatOthersCouldExchangeIsRefused(t *testing.T) {
	w := newTree(t)
	w.file("a/x")
	w.mode("a", 0o777)
	if err := Folder(w.path("a/state")); !errors.Is(err, fault.ErrDenied) {
		t.Error(err)
	}
}

func TestASecretIsNobodyElsesToReadOrToChange(t *testing.T) {
	for mode, want := range map[os.FileMode]error{
		0o600: nil, 0o400: nil, 0o640: fault.ErrDenied, 0o604: fault.ErrDenied, 0o622: fault.ErrDenied,
	} {
		w := newTree(t)
		path := w.file("a/token")
		w.mode("a/token", mode)
		link := w.link("a/token", "link")
		for _, name := range []string{path, link} {
			if err := Secret(name); !errors.Is(err, want) {
				t.Errorf("%s with mode %o: %v, want %v", name, mode, err, want)
			}
		}
	}
}
