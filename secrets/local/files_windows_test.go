package local

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

func skipUnlessAdministrator(tb testing.TB) {
	tb.Helper()
	if !windows.GetCurrentProcessToken().IsElevated() {
		tb.Skip("the store's folder is for administrators alone; run the tests as one")
	}
}

// TestAnOpenFileCanBeReplacedAndRemoved is what os.Open does not allow.
func TestAnOpenFileCanBeReplacedAndRemoved(t *testing.T) {
	s := filled(t)
	f, err := private.OpenReplaced(s.path("svc"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "svc"); err != nil {
		t.Errorf("remove: %v", err)
	}
	b := make([]byte, before.Size())
	if _, err := f.ReadAt(b, 0); err != nil || !bytes.HasPrefix(b, []byte(magic)) {
		t.Errorf("the open file is not readable any more: %v", err)
	}
}

func TestDPAPIOpensOnlyWhatItSealedWithTheSameBounds(t *testing.T) {
	for _, plain := range [][]byte{{0}, bytes.Repeat([]byte{7}, padded)} {
		sealed, err := dpapi{}.seal(plain, []byte("bound"))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(sealed, plain) && len(plain) > 1 {
			t.Error("not sealed")
		}
		if got, err := (dpapi{}).unseal(sealed, []byte("bound")); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("opened %v, %v", got, err)
		}
		if _, err := (dpapi{}).unseal(sealed, []byte("other")); err == nil {
			t.Error("opened with other bounds")
		}
		for n := range 4 {
			if _, err := (dpapi{}).unseal(sealed[:n], []byte("bound")); err == nil {
				t.Errorf("opened %d bytes", n)
			}
		}
	}
	if dir := DefaultDir(); !filepath.IsAbs(dir) || os.Getenv("ProgramData") != "" && filepath.Dir(filepath.Dir(dir)) != filepath.Clean(os.Getenv("ProgramData")) {
		t.Errorf("default folder %s", dir)
	}
}
