package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

const canary = "C4nary-pässwörd"

// filled is a store with three secrets; good must always be served.
func filled(t *testing.T) *Store {
	t.Helper()
	s := openAt(t, filepath.Join(t.TempDir(), "secrets"))
	for name, c := range map[string]*secrets.Credential{
		"svc":  secretstest.New("contoso.com", "svc", canary),
		"twin": secretstest.New("contoso.com", "svc", canary+"2"),
		"good": secretstest.New("fabrikam.com", "other", "Passw0rd!"),
	} {
		if err := s.Put(t.Context(), name, c); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantDamaged checks that svc fails by name, and nothing else fails.
func wantDamaged(t *testing.T, s *Store, what, cause string, kind error) {
	t.Helper()
	c, err := s.Fetch(t.Context(), secretstest.Named("svc"))
	if err == nil {
		t.Errorf("%s: fetched %v", what, c)
		return
	}
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), s.path("svc")) || !strings.Contains(err.Error(), cause) {
		t.Errorf("%s: %v; want %q naming the file", what, err, cause)
	}
	if form := secretstest.Leaked(err.Error(), []byte(canary)); form != "" {
		t.Errorf("%s: the error shows the password (%s)", what, form)
	}
	if got := string(get(t, s, "good").Password.Bytes()); got != "Passw0rd!" {
		t.Errorf("%s: another secret became %q", what, got)
	}
	entries, err := s.List(t.Context())
	if err != nil || len(entries) != 3 || entries[0].Err != nil || entries[2].Err != nil {
		t.Errorf("%s: listed %+v, %v", what, entries, err)
	}
}

func TestATruncatedFileIsNamedAndAffectsNoOther(t *testing.T) {
	s := filled(t)
	whole := read(t, s.path("svc"))
	for n := range len(whole) {
		if n > 140 && n < len(whole)-8 && n%37 != 0 {
			continue // one place in the sealed bytes is as good as the next
		}
		write(t, s.path("svc"), whole[:n])
		wantDamaged(t, s, fmt.Sprintf("%d of %d bytes", n, len(whole)), "cut short", fault.ErrMalformed)
	}
	write(t, s.path("svc"), append(slices.Clone(whole), 0))
	wantDamaged(t, s, "one byte more", "sealed bytes where", fault.ErrMalformed)
	write(t, s.path("svc"), bytes.Repeat(whole, 20))
	wantDamaged(t, s, "much more", "longer than", fault.ErrMalformed)
	write(t, s.path("svc"), whole)
	get(t, s, "svc")
}

func TestATamperedFileIsNamedAndAffectsNoOther(t *testing.T) {
	s := filled(t)
	whole := read(t, s.path("svc"))
	for i := range whole {
		if i > 200 && i < len(whole)-16 && i%37 != 0 {
			continue
		}
		b := slices.Clone(whole)
		b[i] ^= 0x01
		write(t, s.path("svc"), b)
		c, err := s.Fetch(t.Context(), secretstest.Named("svc"))
		if err == nil {
			t.Errorf("byte %d changed: fetched %v", i, c)
		} else if !strings.Contains(err.Error(), s.path("svc")) || secretstest.Leaked(err.Error(), []byte(canary)) != "" {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for what, change := range map[string][2]string{
		"domain":    {"contoso.com", "fabrikam.io"},
		"user":      {`"svc","sealed"`, `"adm","sealed"`},
		"name":      {`{"name":"svc"`, `{"name":"abc"`},
		"sealed by": {s.seal.sealedBy(), "rot13"},
		"blanks":    {`,"user"`, `, "user"`},
		"case":      {`"user"`, `"User"`},
		"field":     {`{"name"`, `{"x":1,"name"`},
		"twice":     {`{"name"`, `{"domain":"fabrikam.com","name"`},
		"format":    {"gmsa-agent secret 1", "gmsa-agent secreT 1"},
		"escape":    {"contoso.com", `contoso\u001b`},
	} {
		b := bytes.Replace(whole, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(b, whole) {
			t.Fatalf("%s: nothing to change", what)
		}
		write(t, s.path("svc"), b)
		wantDamaged(t, s, what, "the file", fault.ErrMalformed)
	}
	write(t, s.path("svc"), bytes.Replace(whole, []byte("secret 1"), []byte("secret 2"), 1))
	wantDamaged(t, s, "newer format", "newer", errors.ErrUnsupported)
}

func TestOneSecretsPasswordDoesNotOpenUnderAnothersName(t *testing.T) {
	s := filled(t)
	svc, twin := read(t, s.path("svc")), read(t, s.path("twin"))
	write(t, s.path("svc"), twin)
	wantDamaged(t, s, "renamed file", "another name", fault.ErrMalformed)

	// The header of one with the sealed part of the other.
	n := bytes.IndexByte(svc[len(magic):], '\n') + len(magic) + 1
	m := bytes.IndexByte(twin[len(magic):], '\n') + len(magic) + 1
	write(t, s.path("svc"), append(slices.Clone(svc[:n]), twin[m:]...))
	wantDamaged(t, s, "exchanged sealed part", "tampered", fault.ErrMalformed)
}

func TestWhatIsNoFileIsNamed(t *testing.T) {
	s := filled(t)
	if err := os.Remove(s.path("svc")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.path("svc"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := s.Fetch(t.Context(), secretstest.Named("svc"))
	if err == nil || !strings.Contains(err.Error(), s.path("svc")) {
		t.Errorf("fetched %v, %v", c, err)
	}
	get(t, s, "good")
}

func TestTheFileShowsNothingOfThePasswordNorItsLength(t *testing.T) {
	s := filled(t)
	sizes := map[int64]bool{}
	for _, password := range []string{"x", canary, strings.Repeat("long ", 50)} {
		if err := s.Put(t.Context(), "svc", secretstest.New("contoso.com", "svc", password)); err != nil {
			t.Fatal(err)
		}
		b := read(t, s.path("svc"))
		sizes[int64(len(b))] = true
		if len(password) > 1 && secretstest.Leaked(string(b), []byte(password)) != "" {
			t.Error("the file shows the password")
		}
	}
	if len(sizes) != 1 {
		t.Errorf("files of %v bytes", sizes)
	}
}

func TestNamesCannotLeaveTheFolder(t *testing.T) {
	s := filled(t)
	ctx := t.Context()
	outside := filepath.Join(filepath.Dir(s.dir), "outside.secret")
	write(t, outside, read(t, s.path("good")))
	for _, name := range []string{
		"", ".", "..", "../outside", `..\outside`, "/etc/passwd", `C:\x`, "a/b", ".lock", ".tmp-1", "nul", "com1", "COM1.x", "aux.secret",
		"a\x00b", "a b", "a:b", "a?b", "a%2fb", "a#b", "ä", "a.", strings.Repeat("a", 128), "contoso\\svc:C4nary",
	} {
		if err := s.Put(ctx, name, secretstest.New("contoso.com", "svc", "x")); !errors.Is(err, fault.ErrMalformed) || strings.Contains(err.Error(), "C4nary") {
			t.Errorf("Put(%q): %v", name, err)
		}
		if err := s.Remove(ctx, name); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("Remove(%q): %v", name, err)
		}
		ref := secrets.Ref{Scheme: Scheme, Rest: name}
		if _, err := s.Fetch(ctx, ref); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("Fetch(%q): %v", name, err)
		}
		if s.Current(ctx, ref, "") {
			t.Errorf("Current(%q)", name)
		}
	}
	if names, err := s.names(); err != nil || !slices.Equal(names, []string{"good", "svc", "twin"}) {
		t.Errorf("names %q, %v", names, err)
	}
}

func TestNamesAreOneInAnyCase(t *testing.T) {
	s := filled(t)
	if err := s.Put(t.Context(), "SVC", secretstest.New("contoso.com", "svc", "new")); err != nil {
		t.Fatal(err)
	}
	if got := string(get(t, s, "svc").Password.Bytes()); got != "new" {
		t.Errorf("fetched %q", got)
	}
	if err := s.Remove(t.Context(), "Svc"); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), "svc"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestPutRefusesWhatCouldNotBeServed(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "secrets"))
	for _, c := range []*secrets.Credential{
		secretstest.New("", "svc", canary), secretstest.New("contoso.com", "", canary), secretstest.New("contoso.com", "svc", ""),
		secretstest.New("contoso.com", "svc", canary+"\xff"), secretstest.New("a\\b", "svc", canary),
	} {
		err := s.Put(t.Context(), "svc", c)
		if !errors.Is(err, fault.ErrMalformed) || secretstest.Leaked(err.Error(), []byte(canary)) != "" {
			t.Errorf("put %v: %v", c, err)
		}
	}
	if entries, err := s.List(t.Context()); err != nil || len(entries) != 0 {
		t.Errorf("listed %v, %v", entries, err)
	}
}

// TestTimesNeverRepeat also with a clock that stands still or was set back.
func TestTimesNeverRepeat(t *testing.T) {
	s := filled(t)
	before, err := s.tick()
	if err != nil {
		t.Fatal(err)
	}
	future := time.Now().Add(time.Hour)
	for i := range 100 {
		if i == 50 {
			if err := os.Chtimes(filepath.Join(s.dir, lockName), future, future); err != nil {
				t.Fatal(err)
			}
		}
		now, err := s.tick()
		if err != nil {
			t.Fatal(err)
		}
		if !now.After(before) {
			t.Fatalf("%v after %v", now, before)
		}
		before = now
	}
}

func FuzzDecode(f *testing.F) {
	key := aeadKey(bytes.Repeat([]byte{1}, 32))
	good, err := encode("svc", secretstest.New("contoso.com", "svc", canary), byXChaCha, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte(magic + `{"name":"svc","domain":"contoso.com","user":"svc","sealed":"dpapi-machine"}` + "\n\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := decodeFor("svc", b)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("no kind: %v", err)
			}
			return
		}
		if err := secrets.ValidateAccount(file.header.Domain, file.header.User); err != nil {
			t.Errorf("accepted %+v: %v", file.header, err)
		}
		if want := len(b) - 4 - len(file.bound); len(file.sealed) != want {
			t.Errorf("%d sealed bytes of %d", len(file.sealed), want)
		}
		plain, err := key.unseal(file.sealed, file.bound)
		if err != nil {
			return
		}
		// Nothing opens but what was sealed, with the account it was sealed with.
		password, err := unpad(plain)
		if err != nil || string(password) != canary || file.header.Domain != "contoso.com" || file.header.User != "svc" {
			t.Errorf("opened %q, %v", b, err)
		}
	})
}

func FuzzUnpad(f *testing.F) {
	f.Add([]byte("password"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = unpad(b)
		if len(b) > secrets.MaxPassword {
			return
		}
		if got, err := unpad(pad(b)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q padded and unpadded is %q, %v", b, got, err)
		}
	})
}

func BenchmarkFetch(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "secrets"))
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Put(b.Context(), "svc", secretstest.New("contoso.com", "svc", canary)); err != nil {
		b.Fatal(err)
	}
	ref := secretstest.Named("svc")
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			c, err := s.Fetch(b.Context(), ref)
			if err != nil {
				b.Fatal(err)
			}
			c.Wipe()
		}
	})
	b.Run("cache", func(b *testing.B) {
		cache := secrets.NewCache(s)
		defer cache.Close()
		for b.Loop() {
			c, err := cache.Fetch(b.Context(), ref)
			if err != nil {
				b.Fatal(err)
			}
			c.Wipe()
		}
	})
}
