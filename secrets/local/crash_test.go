package local

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// What a child process of the tests does instead of running tests, and where.
const (
	childEnv = "GMSA_AGENT_TEST_CHILD"
	dirEnv   = "GMSA_AGENT_TEST_DIR"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		os.Exit(child(what, os.Getenv(dirEnv)))
	}
	os.Exit(m.Run())
}

// steps are those of private.Replace, in their order.
var steps = []string{"created", "half written", "written", "synced", "renamed", "done"}

func child(what, dir string) int {
	s, err := Open(dir)
	if err != nil {
		return fail(err)
	}
	if step, ok := strings.CutPrefix(what, "die "); ok {
		s.step = func(name string) error {
			if name == step {
				os.Exit(99) // nothing deferred runs, as when killed
			}
			return nil
		}
		return fail(s.Put(context.Background(), "svc", secretstest.New("contoso.com", "svc", "new password")))
	}
	if id, ok := strings.CutPrefix(what, "write "); ok {
		for i := range 40 {
			if err := s.Put(context.Background(), "svc", matching(id+"-"+strconv.Itoa(i))); err != nil {
				return fail(err)
			}
		}
		return 0
	}
	return 3
}

// matching has a user and a password that belong together.
func matching(tag string) *secrets.Credential {
	return secretstest.New("contoso.com", tag, "password "+tag)
}

func fail(err error) int {
	if err == nil {
		return 0
	}
	_, _ = os.Stderr.WriteString(err.Error() + "\n")
	return 1
}

func start(t *testing.T, what, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+what, dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestACrashLeavesTheOldSecretOrTheNewOne(t *testing.T) {
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "secrets")
			s := openAt(t, dir)
			ctx := t.Context()
			if err := s.Put(ctx, "svc", secretstest.New("contoso.com", "svc", "old password")); err != nil {
				t.Fatal(err)
			}
			old := get(t, s, "svc")
			err := start(t, "die "+step, dir).Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 99 {
				t.Fatalf("the child ended with %v", err)
			}

			want, current := "old password", true
			if i >= 4 {
				want, current = "new password", false
			}
			c := get(t, s, "svc")
			if got := string(c.Password.Bytes()); got != want {
				t.Errorf("fetched %q, want %q", got, want)
			}
			if got := s.Current(ctx, secretstest.Named("svc"), old.Version); got != current {
				t.Errorf("the old one is current: %v, want %v", got, current)
			}
			if entries, err := s.List(ctx); err != nil || len(entries) != 1 || entries[0].Err != nil {
				t.Errorf("listed %+v, %v", entries, err)
			}

			// The next writer is not kept out, and cleans up.
			if err := s.Put(ctx, "svc", secretstest.New("contoso.com", "svc", "newest password")); err != nil {
				t.Fatal(err)
			}
			if got := string(get(t, s, "svc").Password.Bytes()); got != "newest password" {
				t.Errorf("fetched %q", got)
			}
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if strings.HasPrefix(f.Name(), private.TempPrefix) {
					t.Errorf("%s is left", f.Name())
				}
			}
		})
	}
}

func TestACrashOfTheFirstWriteLeavesNothingOrAll(t *testing.T) {
	for i, step := range steps {
		t.Run(step, func(t *testing.T) {
			skipUnlessAdministrator(t)
			dir := filepath.Join(t.TempDir(), "secrets")
			if err := start(t, "die "+step, dir).Wait(); err == nil {
				t.Fatal("the child did not die")
			}
			s := openAt(t, dir)
			c, err := s.Fetch(t.Context(), secretstest.Named("svc"))
			switch {
			case i < 4 && !errors.Is(err, fault.ErrNotFound):
				t.Errorf("fetched %v, %v", c, err)
			case i >= 4 && (err != nil || string(c.Password.Bytes()) != "new password"):
				t.Errorf("fetched %v, %v", c, err)
			}
		})
	}
}

func TestAWriteThatFailsLeavesTheOldSecretAndNoLitter(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "secrets"))
	ctx := t.Context()
	if err := s.Put(ctx, "svc", secretstest.New("contoso.com", "svc", "old password")); err != nil {
		t.Fatal(err)
	}
	// A folder in the place of the file can't be replaced by one.
	if err := os.Mkdir(s.path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(ctx, "folder", secretstest.New("contoso.com", "svc", "C4nary")); err == nil {
		t.Fatal("replaced a folder")
	} else if strings.Contains(err.Error(), "C4nary") {
		t.Errorf("the error shows the password: %v", err)
	}
	if got := string(get(t, s, "svc").Password.Bytes()); got != "old password" {
		t.Errorf("fetched %q", got)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, private.TempPrefix+"*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestTwoProcessesWriteWhileReadersRead also has two Stores, as the agent and
// the CLI have.
func TestTwoProcessesWriteWhileReadersRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	s := openAt(t, dir)
	if err := s.Put(t.Context(), "svc", matching("first")); err != nil {
		t.Fatal(err)
	}
	var writers []*exec.Cmd
	for _, id := range []string{"a", "b"} {
		writers = append(writers, start(t, "write "+id, dir))
	}
	done := make(chan struct{})
	var failed error
	go func() {
		defer close(done)
		for _, w := range writers {
			failed = errors.Join(failed, w.Wait())
		}
	}()
	cache := secrets.NewCache(s)
	defer cache.Close()
	seen := map[string]string{} // version to user
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		for _, from := range []secrets.Store{s, cache} {
			c, err := from.Fetch(t.Context(), secretstest.Named("svc"))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(c.Password.Bytes()); got != "password "+c.User {
				t.Fatalf("fetched %s with %q: two writes were mixed", c.User, got)
			}
			if user, ok := seen[c.Version]; ok && user != c.User {
				t.Fatalf("version %s is that of %s and of %s", c.Version, user, c.User)
			}
			seen[c.Version] = c.User
		}
		if entries, err := s.List(t.Context()); err != nil || len(entries) != 1 || entries[0].Err != nil {
			t.Fatalf("listed %+v, %v", entries, err)
		}
	}
	if failed != nil {
		t.Errorf("a writer failed: %v", failed)
	}
	if c := get(t, s, "svc"); !strings.HasSuffix(c.User, "-39") {
		t.Errorf("%s was written last", c.User)
	}
	if len(seen) < 3 {
		t.Logf("the readers saw only %d versions", len(seen))
	}
}

func openAt(t *testing.T, dir string) *Store {
	t.Helper()
	skipUnlessAdministrator(t)
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, s *Store, name string) *secrets.Credential {
	t.Helper()
	c, err := s.Fetch(t.Context(), secretstest.Named(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
