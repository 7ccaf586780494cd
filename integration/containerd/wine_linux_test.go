package containerd

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
)

// The tests of the wrapper and of what it links run once more as a Windows
// program: there the real shim is a process of its own, with handles, a command
// line and a job.
func TestTheWrappersTestsPassAsAWindowsProgram(t *testing.T) {
	if err := winelab.Ready(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	l, err := winelab.Start(t.Context(), winelab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	overlay := deletingOverlay(t)
	for _, pkg := range []string{"hook/bundle", "cmd/containerd-shim-gmsa"} {
		program := filepath.Join(t.TempDir(), filepath.Base(pkg)+".test.exe")
		compile(t, overlay, "./"+pkg, program)
		// The first program of a prefix leaves others behind that hold its output open.
		log, err := os.Create(program + ".log")
		if err != nil {
			t.Fatal(err)
		}
		// Wine 8's job objects do not keep what they promise: in a third of the
		// runs, what broke away from the job ended with it. Whether it does on
		// Windows, only a run on Windows can tell.
		cmd := l.Command(t.Context(), program, "-test.skip=^TestTheRealShimEndsWithTheWrapperAndWhatItServesDoesNot$")
		cmd.Stdout, cmd.Stderr = log, log
		err = cmd.Run()
		_ = log.Close()
		if err != nil {
			out, _ := os.ReadFile(log.Name())
			t.Errorf("%s: %v: %s", pkg, err, out)
		}
	}
}

func compile(t *testing.T, overlay, pkg, program string) {
	t.Helper()
	root, err := lab.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", program, pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// deletingOverlay has programs delete files in the way that Wine 8 knows, or no
// test could remove its temporary folder: Wine answers "not implemented" to the
// newer way, and Go falls back only on other answers.
func deletingOverlay(t *testing.T) string {
	t.Helper()
	goroot, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	original := filepath.Join(string(bytes.TrimSpace(goroot)), "src", "internal", "syscall", "windows", "at_windows.go")
	source, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	const known, notImplemented = "case STATUS_INVALID_INFO_CLASS,", " NTStatus(0xC0000002),"
	if n := bytes.Count(source, []byte(known)); n != 1 {
		t.Fatalf("%s: %q is there %d times, want once", original, known, n)
	}
	changed, list := filepath.Join(t.TempDir(), "at_windows.go"), filepath.Join(t.TempDir(), "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(changed, bytes.Replace(source, []byte(known), []byte(known+notImplemented), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(list, replace, 0o600); err != nil {
		t.Fatal(err)
	}
	return list
}
