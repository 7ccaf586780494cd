package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Options say how to start a process of a lab.
type Options struct {
	Path       string
	Args       []string // without the name
	Env        []string // nil: this process's
	Dir        string
	Log        string // file that gets standard output and error; empty: discarded
	Stdin      io.Reader
	Cloneflags uintptr // namespaces, e.g. syscall.CLONE_NEWNS
}

// Process is a process of a lab, in a process group of its own. It is killed
// when the process that started it ends, however that ends.
type Process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
}

// starter runs process starts on one OS thread that never ends. The parent
// death signal is sent when the parent's *thread* ends, and an ordinary
// goroutine's thread may end early.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// Start starts a process.
func Start(o Options) (*Process, error) {
	p := &Process{cmd: exec.Command(o.Path, o.Args...), log: o.Log, done: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdin = o.Env, o.Dir, o.Stdin
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: o.Cloneflags}
	if o.Log != "" {
		f, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // the child has its own descriptor
		p.cmd.Stdout, p.cmd.Stderr = f, f
	}
	started := make(chan error)
	starter() <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Path, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Pause stops every thread of the process, as a host that hangs does. The
// signal alone is on its way when kill returns.
func (p *Process) Pause() error {
	if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return WaitFor(ctx, "every thread to stop", func(context.Context) error {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
		if err != nil || len(stats) == 0 {
			return errors.Join(err, errors.New("the process is gone"))
		}
		for _, stat := range stats {
			text, err := os.ReadFile(stat)
			if err != nil {
				continue // the thread is gone
			}
			// "pid (name) state …"; the name may have parentheses in it.
			if state := text[bytes.LastIndexByte(text, ')')+1:]; !bytes.HasPrefix(state, []byte(" T")) {
				return fmt.Errorf("%s: state%.2s", stat, state)
			}
		}
		return nil
	})
}

// Resume ends a Pause.
func (p *Process) Resume() error { return syscall.Kill(p.PID(), syscall.SIGCONT) }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the process ended; call it after Done.
func (p *Process) Err() error { return p.err }

// Exited returns an error with the end of the log if the process has ended.
// It is made for conditions: a server that died will never become ready.
func (p *Process) Exited() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended: %v: %s", p.cmd.Path, p.err, p.LogTail())
	default:
		return nil
	}
}

// Kill sends SIGKILL to the process alone and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // already gone is what we want
	<-p.done
}

// Stop asks the process to end, waits up to grace, and then kills its whole
// group. It reports an error only when it had to kill.
func (p *Process) Stop(grace time.Duration) error {
	if p == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	var err error
	select {
	case <-p.done:
	case <-timer.C:
		err = fmt.Errorf("%s did not end within %v and was killed", p.cmd.Path, grace)
	}
	if e := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); e != nil && !errors.Is(e, syscall.ESRCH) {
		err = errors.Join(err, e)
	}
	<-p.done
	return err
}

// LogTail returns the last 2 KiB of the log.
func (p *Process) LogTail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	return tail(b, 2048)
}
