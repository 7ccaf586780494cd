package dockerlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// TestMain also is the program that starts a lab and is killed.
func TestMain(m *testing.M) {
	if os.Getenv("GMSA_LAB_HOLD") == "" {
		os.Exit(m.Run())
	}
	l, err := Start(context.Background(), Options{})
	if err == nil {
		_, err = l.Docker(context.Background(), "run", "--detach", "--network", "none", Image)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("running", l.dir)
	select {}
}

func start(t *testing.T, o Options) *Lab {
	t.Helper()
	if o.Flavour == "" {
		o.Flavour = Debian
	}
	if err := o.Flavour.Ready(); err != nil {
		t.Skip(err)
	}
	o.Report = lab.Report(t)
	l, err := Start(t.Context(), o)
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

// each runs a test with each flavour.
func each(t *testing.T, o Options, f func(t *testing.T, l *Lab)) {
	for _, flavour := range Flavours {
		t.Run(string(flavour), func(t *testing.T) {
			o.Flavour = flavour
			f(t, start(t, o))
		})
	}
}

func (l *Lab) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := l.Docker(t.Context(), args...)
	if err != nil {
		t.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func TestAContainerRunsAndDockerdIsStartedAgain(t *testing.T) {
	each(t, Options{}, func(t *testing.T, l *Lab) {
		if out := l.must(t, "run", "--rm", "--network", "none", Image, "echo", "hello"); out != "hello" {
			t.Errorf("it says %q", out)
		}
		id := l.must(t, "run", "--detach", "--network", "none", "--restart", "always", Image)
		if err := errors.Join(l.StopDockerd(), l.StartDockerd(t.Context())); err != nil {
			t.Fatal(err)
		}
		lab.Eventually(t, "the container's being started again", func(ctx context.Context) error {
			out, err := l.Docker(ctx, "ps", "--quiet", "--no-trunc")
			if err == nil && out != id {
				err = fmt.Errorf("running: %q, want %s", out, id)
			}
			return err
		})
		if err := errors.Join(l.KillDockerd(), l.StartDockerd(t.Context())); err != nil {
			t.Fatal(err)
		}
		l.must(t, "rm", "--force", id)
		if out := l.must(t, "ps", "--all", "--quiet"); out != "" {
			t.Errorf("left: %s", out)
		}
	})
}

// traces returns what is left of the lab in a folder.
func traces(folder string) error {
	var found []error
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, p := range processes {
		if b, err := os.ReadFile(p); err == nil && strings.Contains(string(b), folder) {
			found = append(found, fmt.Errorf("process %s: %q", p, b))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), folder) {
		found = append(found, fmt.Errorf("mounts, %v", err))
	}
	return errors.Join(found...)
}

// machines are the machine's own folders that dockerd has to do with.
func machines(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"/etc/docker*", "/etc/docker/*", "/run/docker*", "/run/docker/*", "/var/lib/docker*", "/sys/class/net/*", "/run/containerd*", "/run/containerd/s/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

func TestStopLeavesNoProcessMountFolderOrGroupAndTheMachineAsItWas(t *testing.T) {
	before := strings.Join(machines(t), "\n")
	each(t, Options{}, func(t *testing.T, l *Lab) {
		l.must(t, "run", "--detach", "--network", "none", Image)
		if traces(l.dir) == nil {
			t.Error("a running lab has no traces: the check below is void")
		}
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
		if err := traces(l.dir); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(l.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the folder is left: %v", err)
		}
		for _, pattern := range []string{"/sys/fs/cgroup/*/" + l.name, "/sys/fs/cgroup/" + l.name} {
			if left, _ := filepath.Glob(pattern); len(left) > 0 {
				t.Errorf("control groups are left: %v", left)
			}
		}
	})
	if after := strings.Join(machines(t), "\n"); after != before {
		t.Errorf("the machine had\n%s\nand has\n%s", before, after)
	}
}

func TestALabDoesNotOutliveTheProcessThatStartedIt(t *testing.T) {
	if err := Debian.Ready(); err != nil {
		t.Skip(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	p, err := lab.Start(lab.Options{Path: self, Env: append(os.Environ(), "GMSA_LAB_HOLD=1"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	var folder string
	lab.Eventually(t, "the other process's lab", func(context.Context) error {
		var ok bool
		if _, folder, ok = strings.Cut(strings.TrimSpace(p.LogTail()), "running "); !ok {
			return errors.Join(errors.New("not there"), p.Exited())
		}
		return nil
	})
	p.Kill()
	lab.Eventually(t, "the lab's end", func(context.Context) error { return traces(folder) })
	lab.RemoveDead(namePrefix)
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the next lab does not remove its folder: %v", err)
	}
}

func TestComposeRunsAProject(t *testing.T) {
	each(t, Options{}, func(t *testing.T, l *Lab) {
		folder := t.TempDir()
		text := "version: '3.8'\nservices:\n  web:\n    image: " + Image + "\n    network_mode: none\n"
		if err := os.WriteFile(filepath.Join(folder, "docker-compose.yml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := l.Compose(t.Context(), folder, "up", "--detach").CombinedOutput(); err != nil {
			t.Fatalf("up: %v: %s", err, out)
		}
		if out := l.must(t, "ps", "--quiet"); out == "" {
			t.Error("nothing runs")
		}
		if out, err := l.Compose(t.Context(), folder, "down", "--timeout", "0").CombinedOutput(); err != nil {
			t.Fatalf("down: %v: %s", err, out)
		}
	})
}
