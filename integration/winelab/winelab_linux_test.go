package winelab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// startLab starts a lab for the test, or skips it.
func startLab(t *testing.T) *Lab {
	t.Helper()
	if err := Ready(); err != nil {
		t.Skip(err)
	}
	l, err := Start(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestGoProgramsRun(t *testing.T) {
	l := startLab(t)
	exe := filepath.Join(t.TempDir(), "echo.exe")
	if err := Build(t.Context(), "./integration/winelab/testdata/echo", exe); err != nil {
		t.Fatal(err)
	}
	out, err := l.Command(t.Context(), exe, "a b", `"ö"`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, want := strings.TrimSpace(string(out)), `windows ["a b" "\"ö\""]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLabsDoNotShareARegistryOrFiles(t *testing.T) {
	a, b := startLab(t), startLab(t)
	ctx := t.Context()
	if err := a.SetString(ctx, `HKLM\Software\Contoso`, "Name", "a"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.Path(`C:\windows\system32\only-in-a.dll`), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := a.Command(ctx, "reg.exe", "query", `HKLM\Software\Contoso`).Output(); err != nil || !strings.Contains(string(out), "Name") {
		t.Errorf("the value is not in its own lab: %v: %s", err, out)
	}
	if out, err := b.Command(ctx, "reg.exe", "query", `HKLM\Software\Contoso`).Output(); err == nil {
		t.Errorf("the value is in the other lab: %s", out)
	}
	if _, err := os.Stat(b.Path(`C:\windows\system32\only-in-a.dll`)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is in the other lab: %v", err)
	}
}

func TestStopLeavesNoProcessAndNoFolder(t *testing.T) {
	l := startLab(t)
	p, err := l.StartProcess(Program{Exe: "cmd.exe", Args: []string{"/k"}, Stdin: blocked(t)})
	if err != nil {
		t.Fatal(err)
	}
	if len(processesOf(l.prefix)) == 0 {
		t.Error("a running lab has no processes: the check below is void")
	}
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	lab.Eventually(t, "the program's end", func(context.Context) error {
		if p.Exited() == nil {
			return errors.New("it runs")
		}
		return nil
	})
	if pids := processesOf(l.prefix); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
	if _, err := os.Stat(l.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lab's folder is left: %v", err)
	}
}

// blocked returns a reader that never has anything until the test ends.
func blocked(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r
}

func TestPathsTranslateBothWays(t *testing.T) {
	l := &Lab{prefix: "/lab/prefix"}
	for windows, linux := range map[string]string{
		`C:\windows\system32`: "/lab/prefix/drive_c/windows/system32",
		`Z:\etc\hosts`:        "/etc/hosts",
	} {
		if got := l.Path(windows); got != linux {
			t.Errorf("Path(%s) = %s", windows, got)
		}
		if got := l.WindowsPath(linux); got != windows {
			t.Errorf("WindowsPath(%s) = %s", linux, got)
		}
	}
	if got := l.Path(`c:/Windows`); got != "/lab/prefix/drive_c/Windows" {
		t.Errorf("Path of a lower-case drive = %s", got)
	}
}

func TestSweepTakesOnlyTheLabsOfProcessesThatAreGone(t *testing.T) {
	labs := t.TempDir()
	mine := filepath.Join(labs, "1-a") // pid 1 always lives
	gone := filepath.Join(labs, "2147483646-b")
	for _, dir := range []string{mine, gone} {
		if err := os.MkdirAll(filepath.Join(dir, "prefix"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := sweep(labs); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}
