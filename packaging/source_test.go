package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// smallRepository has one commit, of a program.
func smallRepository(t *testing.T) string {
	t.Helper()
	needs(t, "git")
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"}, args...)
		if _, err := output(t.Context(), dir, append(os.Environ(), "GIT_COMMITTER_DATE=2026-02-03T04:05:06Z"), "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "--quiet")
	for name, content := range map[string]string{
		"go.mod":     "module example.com/x\n\ngo 1.26\n",
		"main.go":    "package main\n\nfunc main() {}\n",
		".gitignore": "/ignored\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git("add", ".")
	git("commit", "--quiet", "-m", "x")
	return dir
}

func TestAPackageIsMadeOfTheCommitAndNotOfTheWorkTree(t *testing.T) {
	repository := smallRepository(t)
	if err := os.WriteFile(filepath.Join(repository, "ignored"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := cloneSource(t.Context(), repository, "", filepath.Join(t.TempDir(), "clone"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{".gitignore", "go.mod", "main.go"}; !slices.Equal(s.tracked, want) {
		t.Errorf("the clone has %v, want %v", s.tracked, want)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "ignored")); err == nil {
		t.Error("an ignored file got into the clone")
	}
	if want := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC); !s.time.Equal(want) {
		t.Errorf("its time is %v, want the commit's, %v", s.time, want)
	}
}

func TestAChangedWorkTreeIsRefusedUnlessACommitIsNamed(t *testing.T) {
	repository := smallRepository(t)
	if err := os.WriteFile(filepath.Join(repository, "main.go"), []byte("package changed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := cloneSource(t.Context(), repository, "", filepath.Join(t.TempDir(), "clone")); err == nil || !strings.Contains(err.Error(), "main.go") {
		t.Errorf("got %v, want an error that names main.go", err)
	}
	s, err := cloneSource(t.Context(), repository, "HEAD", filepath.Join(t.TempDir(), "clone"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(s.dir, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), "changed") {
		t.Error("the change, which is in no commit, is in the clone")
	}
}

// Resources are put beside the sources; the program's stamp says all the same
// that it is of the commit.
func TestWhatIsAddedForTheBuildDoesNotMakeTheCommitModified(t *testing.T) {
	s, err := cloneSource(t.Context(), smallRepository(t), "", filepath.Join(t.TempDir(), "clone"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"new.syso", ".gitignore"} {
		if err := s.add(t.Context(), name, []byte("added")); err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(filepath.Join(s.dir, name)); err != nil || string(content) != "added" {
			t.Errorf("%s has %q, %v", name, content, err)
		}
	}
	status, err := output(t.Context(), s.dir, nil, "git", "status", "--porcelain")
	if err != nil {
		t.Fatal(err)
	}
	if status != "" {
		t.Errorf("git sees changes: %s", status)
	}
}

func TestTheUsersEnvironmentStaysOutOfABuild(t *testing.T) {
	for name, value := range map[string]string{
		"GOFLAGS": "-buildvcs=false", "CGO_CFLAGS": "-O0", "CGO_LDFLAGS": "-lx", "GOAMD64": "v4", "CC": "clang",
		"GOEXPERIMENT": "arenas", "GODEBUG": "x=1", "LC_ALL": "tr_TR", "TZ": "Asia/Kathmandu", "SOURCE_DATE_EPOCH": "1",
	} {
		t.Setenv(name, value)
	}
	env, err := buildEnvironment(t.Context(), "windows", true, "/cache")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		if _, twice := got[name]; twice {
			t.Errorf("%s is set twice", name)
		}
		got[name] = value
	}
	for name, want := range map[string]string{
		"GOFLAGS": "-mod=readonly", "GOAMD64": "v1", "CC": mingw, "LC_ALL": "C", "TZ": "UTC", "GOENV": "off",
		"GOTOOLCHAIN": "local", "CGO_ENABLED": "1", "GOOS": "windows", "GOCACHE": "/cache",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"CGO_CFLAGS", "CGO_LDFLAGS", "GOEXPERIMENT", "GODEBUG", "SOURCE_DATE_EPOCH"} {
		if value, ok := got[name]; ok {
			t.Errorf("%s=%s reaches the build", name, value)
		}
	}
}
