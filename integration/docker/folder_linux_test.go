package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/dockerlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// troubled restarts the agent with a file system of its own over Docker's folder,
// which nobody else sees and which ends with it. It returns the folder as the agent
// sees it.
func (h *host) troubled(options, fill string) string {
	h.Helper()
	h.agent.Kill()
	h.must(os.RemoveAll(h.path("state", "docker-places.json")))
	script := fmt.Sprintf("mount --make-rprivate / && mount -t tmpfs -o %s tmpfs %q && %s\nexec \"$@\"", options, h.specs(), fill)
	h.starts++
	p, err := h.start("/usr/bin/unshare", []string{"--mount", "/bin/busybox", "sh", "-c", script, "sh", program("gmsa-agent"), "--config", h.path("config.yaml"), "run"}, h.path(fmt.Sprintf("agent-%d.log", h.starts)))
	h.must(err)
	h.agent = p
	lab.Eventually(h.T, "the agent", func(ctx context.Context) error {
		_, err := h.status(ctx)
		return errors.Join(err, h.agent.Exited())
	})
	h.watched()
	return filepath.Join("/proc", fmt.Sprint(p.(*lab.Process).PID()), "root", h.specs())
}

// rests checks what a folder that cannot be written to does: containers that ask
// are refused with the reason, others run, and no part of a file is there.
func (h *host) rests(folder, reason string) {
	h.Helper()
	line := h.refused(args("run", "--detach", h.asks("webapp01.json"), h.machine.run())...)
	if !strings.HasPrefix(line, denied) || !strings.Contains(line, reason) {
		h.Errorf("the user reads %s", line)
	}
	h.Docker(args("run", "--detach", h.machine.run())...)
	if p, err := h.place(h.Context(), "webapp01.json"); err != nil || p.Kept || !strings.Contains(p.Error, reason) {
		h.Errorf("the status says %+v, %v", p, err)
	}
	entries, err := os.ReadDir(folder)
	h.must(err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") {
			h.Errorf("there is %s", e.Name())
		}
	}
}

func TestAFullDiskIsAReasonAndNoHalfFile(t *testing.T) {
	if err := dockerlab.Debian.Ready(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	h := newHost(t, startLab(t, dockerlab.Options{}), nil)
	folder := h.troubled("size=64k,mode=700", fmt.Sprintf("{ head -c 1000000 /dev/zero > %q; true; }", h.specs("filler")))
	h.rests(folder, "no space left on device")
	h.must(os.Remove(filepath.Join(folder, "filler")))
	h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.machine.run())...)
	data, err := os.ReadFile(filepath.Join(folder, "webapp01.json"))
	if err != nil || !strings.Contains(string(data), "gmsa1.") {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestAFolderThatCannotBeWrittenToIsAReason(t *testing.T) {
	if err := dockerlab.Debian.Ready(); err != nil {
		t.Skip(err)
	}
	t.Parallel()
	h := newHost(t, startLab(t, dockerlab.Options{}), nil)
	h.rests(h.troubled("ro,mode=700", "true"), "read-only file system")
}
