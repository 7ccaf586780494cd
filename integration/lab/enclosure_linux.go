package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// Enclosure is a set of namespaces with a first process in them: its own
// processes and its own mounts, and its own network if need be. What runs in it
// outlives the process that started that, and none outlives the enclosure: its
// first process dies with the process that made it, and the kernel ends
// everything else and takes the mounts away.
type Enclosure struct {
	first   *Process
	network bool
}

// EnclosureOptions say how an enclosure is made.
type EnclosureOptions struct {
	Log     string // file for what the first process prints
	Network bool   // a network of its own, with nothing in it
	// Mounts is shell code that busybox runs when the mounts are the enclosure's
	// own; empty: none but the usual.
	Mounts string
}

// firstProcess keeps the namespaces, with mounts that no other process sees: a
// /proc of its own process namespace, and a /run in which the shims' sockets and
// pipes are nobody else's. It collects orphans, as the first process must.
const firstProcess = `mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run || exit 1
set -e
%s
set +e
trap '' TERM INT HUP
echo ready
while true; do sleep 1000000 & wait; done`

// Enclose makes an enclosure. The caller calls Close. It needs root and the
// package busybox-static.
func Enclose(ctx context.Context, o EnclosureOptions) (*Enclosure, error) {
	e := &Enclosure{network: o.Network}
	flags := uintptr(syscall.CLONE_NEWPID | syscall.CLONE_NEWNS)
	if o.Network {
		flags |= syscall.CLONE_NEWNET
	}
	var err error
	e.first, err = Start(Options{
		Path: Busybox, Args: []string{"sh", "-c", fmt.Sprintf(firstProcess, o.Mounts)}, Log: o.Log, Cloneflags: flags,
	})
	if err != nil {
		return nil, err
	}
	err = WaitFor(ctx, "the lab's namespaces", func(context.Context) error {
		if b, err := os.ReadFile(o.Log); err != nil || !strings.Contains(string(b), "ready") {
			return errors.Join(err, errors.New("not ready"), e.first.Exited())
		}
		return nil
	})
	if err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Inside returns a command line that runs a program in the enclosure.
func (e *Enclosure) Inside(args ...string) []string {
	enter := []string{"/usr/bin/nsenter", "--target", fmt.Sprint(e.first.PID()), "--mount", "--pid"}
	if e.network {
		enter = append(enter, "--net")
	}
	return append(enter, args...)
}

// Command is a command that runs a program in the enclosure. Its end by the
// context is the program's, too.
func (e *Enclosure) Command(ctx context.Context, args ...string) *exec.Cmd {
	command := e.Inside(args...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// nsenter's child is the one that may hang.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// Signal sends a signal to the program that nsenter, a process of the lab,
// became the parent of: entering a process namespace takes a child.
func Signal(nsenter *Process, signal syscall.Signal) error {
	pid := fmt.Sprint(nsenter.PID())
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil && nsenter.Exited() == nil {
		return err
	}
	for _, child := range strings.Fields(string(children)) {
		var n int
		if _, err := fmt.Sscan(child, &n); err != nil {
			return err
		}
		if err := syscall.Kill(n, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal process %d: %w", n, err)
		}
	}
	return nil
}

// Close ends everything in the enclosure. The kernel ends the whole process
// namespace before its first process is gone, and the mounts with it.
func (e *Enclosure) Close() {
	if e != nil {
		e.first.Kill()
	}
}
