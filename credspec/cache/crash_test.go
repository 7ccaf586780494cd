package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// What a child process of the tests does instead of running tests: it replaces
// the document in the folder and dies at that step.
const (
	stepEnv = "GMSA_AGENT_TEST_STEP"
	dirEnv  = "GMSA_AGENT_TEST_DIR"
)

func TestMain(m *testing.M) {
	if step := os.Getenv(stepEnv); step != "" {
		os.Exit(dieAt(step, os.Getenv(dirEnv)))
	}
	os.Exit(m.Run())
}

func dieAt(step, dir string) int {
	c := Open(dir, slog.New(slog.DiscardHandler))
	c.folder.step = func(now string) error {
		if now == step {
			os.Exit(99) // nothing deferred runs, as when killed
		}
		return nil
	}
	o := newOrigin()
	o.put("web", changed)
	if _, err := c.Front(o, Limits{}).Resolve(context.Background(), ref("web")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = c.Close()
	return 0
}

func TestAKilledAgentLeavesTheOldDocumentOrTheNewOne(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []string{"created", "half written", "written", "synced", "renamed", "done"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			w.want(document, false, 1)
			w.close()
			cmd := exec.CommandContext(t.Context(), exe)
			cmd.Env = append(os.Environ(), stepEnv+"="+step, dirEnv+"="+w.dir)
			cmd.Stderr = os.Stderr
			var exit *exec.ExitError
			if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 99 {
				t.Fatalf("the child ended with %v", err)
			}
			w.open()
			w.fail(errDown)
			want := document
			if i >= 4 { // renamed
				want = changed
			}
			w.want(want, true, 2)
			for _, name := range w.files() {
				if strings.HasPrefix(name, private.TempPrefix) {
					t.Errorf("%s is left", name)
				}
			}
			if doc, err := w.mux.Resolve(t.Context(), pinned("web", want)); err != nil || doc.Digest != credspec.Digest([]byte(want)) {
				t.Errorf("%v, %v", doc, err)
			}
		})
	}
}
