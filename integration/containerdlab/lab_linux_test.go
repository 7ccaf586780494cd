package containerdlab

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
		err = l.Run(context.Background(), Container{ID: "a"})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("running", l.dir)
	select {}
}

func start(t *testing.T) *Lab {
	t.Helper()
	if err := Ready(); err != nil {
		t.Skip(err)
	}
	l, err := Start(t.Context(), Options{Report: lab.Report(t)})
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

func TestAContainerRunsAndOutlivesContainerd(t *testing.T) {
	l := start(t)
	ctx := t.Context()
	out, err := l.Ctr(ctx, Container{ID: "says", Args: []string{"echo", "hello"}}.flags("run", "--rm")...)
	if err != nil || strings.TrimSpace(out) != "hello" {
		t.Errorf("%q, %v", out, err)
	}
	if err := l.Run(ctx, Container{ID: "a", Annotations: map[string]string{"k": "v"}}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(l.Bundle("a"), "config.json")); err != nil || !strings.Contains(string(b), `"k":"v"`) {
		t.Errorf("config.json: %s, %v", b, err)
	}
	if err := l.KillContainerd(); err != nil {
		t.Fatal(err)
	}
	if err := l.StartContainerd(ctx); err != nil {
		t.Fatal(err)
	}
	if out, err := l.Ctr(ctx, "tasks", "list"); err != nil || !strings.Contains(out, "RUNNING") {
		t.Errorf("%s, %v", out, err)
	}
	if err := l.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
	if out, err := l.Ctr(ctx, "containers", "list", "--quiet"); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("left: %s, %v", out, err)
	}
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

func TestStopLeavesNoProcessMountFolderOrGroup(t *testing.T) {
	l := start(t)
	if err := l.Run(t.Context(), Container{ID: "a"}); err != nil {
		t.Fatal(err)
	}
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
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/" + l.Namespace); len(left) > 0 {
		t.Errorf("control groups are left: %v", left)
	}
}

func TestALabDoesNotOutliveTheProcessThatStartedIt(t *testing.T) {
	if err := Ready(); err != nil {
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
