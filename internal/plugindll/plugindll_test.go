package plugindll

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
)

// built is a DLL that is none of ours but for what it was built from: a real
// one takes a C compiler for Windows, and is what the plugin's own suite has.
var built = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "plugindll-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	exe := filepath.Join(dir, "x.exe")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", exe, mainPackage)
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return out, err
	}
	return os.ReadFile(exe)
})

// characteristics is where a PE file's flags are, and machine its processor.
func header(t *testing.T, b []byte) (machine, characteristics []byte) {
	t.Helper()
	at := binary.LittleEndian.Uint32(b[0x3c:]) + 4
	return b[at : at+2], b[at+18 : at+20]
}

// dll puts our program, made a DLL by its flag, into a folder of the test.
func dll(t *testing.T, change func(b []byte)) string {
	t.Helper()
	b, err := built()
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	b = append([]byte(nil), b...)
	_, flags := header(t, b)
	binary.LittleEndian.PutUint16(flags, binary.LittleEndian.Uint16(flags)|0x2000)
	if change != nil {
		change(b)
	}
	path := filepath.Join(t.TempDir(), Name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOurDLLIsAsItShouldBe(t *testing.T) {
	b, found, err := Look(dll(t, nil), Build{Version: "(devel)"})
	if err != nil || len(found) != 0 || b.Version != "(devel)" {
		t.Errorf("got %+v, %+v, %v", b, found, err)
	}
}

func TestWhatIsWrongAboutTheFileIsNamedWithItsEffect(t *testing.T) {
	ours := dll(t, nil)
	agent := Build{Version: "(devel)"}
	text := filepath.Join(t.TempDir(), "text.dll")
	if err := os.WriteFile(text, []byte("MZ is not enough"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, says, effect string
		agent              Build
		severity           ccgplugin.Severity
	}{
		{ours + ".absent", "there is no such file", "0x8007007E", agent, ccgplugin.Broken},
		{filepath.Dir(ours), "is not a file", "0x800700C1", agent, ccgplugin.Broken},
		{text, "is no program of Windows", "0x800700C1", agent, ccgplugin.Broken},
		{dll(t, func(b []byte) { machine, _ := header(t, b); machine[0], machine[1] = 0x4c, 0x01 }), "is for another processor (0x14c) than x64", "0x800700C1", agent, ccgplugin.Broken},
		{dll(t, func(b []byte) { _, flags := header(t, b); flags[1] &^= 0x20 }), "is a program and no DLL", "0x800700C1", agent, ccgplugin.Broken},
		{dll(t, func(b []byte) { replace(b, "cmd/ccg-plugin\n", "cmd/ccg-plugon\n") }), "cmd/ccg-plugon", "grant tokens", agent, ccgplugin.Broken},
		{dll(t, func(b []byte) { replace(b, "Go buildinf:", "No buildinf:") }), "it says nothing of what it was built from", "grant tokens", agent, ccgplugin.Broken},
		{ours, "is of (devel), and the agent of v1.2.3 (commit abc)", "GMSA_E_RELEASES_DIFFER", Build{Version: "v1.2.3", Commit: "abc"}, ccgplugin.Flawed},
	} {
		_, found, err := Look(c.path, c.agent)
		if err != nil || len(found) != 1 {
			t.Errorf("%s: got %+v, %v", c.says, found, err)
			continue
		}
		d := found[0]
		if d.Place != c.path || !strings.Contains(d.Problem, c.says) || !strings.Contains(d.Effect, c.effect) || d.Severity != c.severity || d.Remedy == "" {
			t.Errorf("%s: got %+v", c.says, d)
		}
	}
	if runtime.GOOS != "windows" {
		if _, found, err := Look(self, agent); err != nil || len(found) != 1 {
			t.Errorf("a program of this platform: got %+v, %v", found, err)
		}
	}
}

// replace changes every place of a text to another of the same length.
func replace(b []byte, old, new string) {
	for {
		i := strings.Index(string(b), old)
		if i < 0 {
			return
		}
		copy(b[i:], new)
	}
}

func TestAFileThatOthersCouldExchangeIsNamed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the access list is made with chmod")
	}
	path := dll(t, nil)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	_, found, err := Look(path, Build{})
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Effect, "exchanges it") {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestBuildsDifferByWhatBothKnow(t *testing.T) {
	for _, c := range []struct {
		a, b Build
		want bool
	}{
		{Build{}, Build{Version: "v1"}, false},
		{Build{Version: "v1"}, Build{Version: "v1"}, false},
		{Build{Version: "v1"}, Build{Version: "v2"}, true},
		{Build{Version: "(devel)", Commit: "a"}, Build{Version: "(devel)", Commit: "a", Modified: true}, false},
		{Build{Version: "(devel)", Commit: "a"}, Build{Version: "(devel)", Commit: "b"}, true},
	} {
		if got := c.a.differs(c.b); got != c.want {
			t.Errorf("%s and %s: got %t", c.a, c.b, got)
		}
	}
}
