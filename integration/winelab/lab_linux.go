package winelab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Options say how a lab is started.
type Options struct {
	Env []string // more environment for every program of the lab, as "NAME=value"
}

// Lab is a Wine prefix with its server running.
type Lab struct {
	dir    string // holds everything of the lab
	prefix string
	wine   string
	env    []string
	server *lab.Process

	halted sync.Once
	err    error // of halt
}

// Start makes a prefix from the template and starts its server. The caller
// calls Stop; when the calling process dies before that, the lab's server dies
// with it, and the next Start removes what is left.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	template, err := templatePath()
	if err != nil {
		return nil, err
	}
	// In the cache, because hard links do not cross file systems.
	labs := lab.Cache("wine", "labs")
	if err := sweep(labs); err != nil {
		return nil, err
	}
	// On a busy machine Wine 8 now and then ends its first program with an exit
	// code of its own; a prefix made anew starts.
	var failed error
	for range 2 {
		dir, err := os.MkdirTemp(labs, strconv.Itoa(os.Getpid())+"-")
		if err != nil {
			return nil, errors.Join(failed, err)
		}
		l, err := start(ctx, template, dir, o)
		if err == nil {
			return l, nil
		}
		failed = errors.Join(failed, fmt.Errorf("start a Wine lab: %w", err), os.RemoveAll(dir))
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

func start(ctx context.Context, template, dir string, o Options) (*Lab, error) {
	if err := clone(filepath.Join(template, "prefix"), filepath.Join(dir, "prefix")); err != nil {
		return nil, err
	}
	l, err := open(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	// The first program starts Wine's services, which keep its standard
	// output for ever; this one has none.
	if err := l.Command(ctx, "cmd.exe", "/c", "exit").Run(); err != nil {
		return nil, errors.Join(fmt.Errorf("first program: %w: %s", err, l.server.LogTail()), l.halt())
	}
	return l, nil
}

// open starts the server of the prefix in dir.
func open(ctx context.Context, dir string, o Options) (*Lab, error) {
	wine, server, err := binaries()
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir, prefix: filepath.Join(dir, "prefix"), wine: wine}
	for _, name := range []string{"prefix", "home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	l.env = append([]string{
		"WINEPREFIX=" + l.prefix,
		"WINEDEBUG=-all",
		// No .NET, no HTML engine, no menu entries on the host.
		"WINEDLLOVERRIDES=mscoree,mshtml=;winemenubuilder.exe=d",
		"PATH=" + filepath.Dir(wine) + ":" + os.Getenv("PATH"),
		"HOME=" + filepath.Join(dir, "home"),
		"TMPDIR=" + filepath.Join(dir, "tmp"), // of the server's socket
		"USER=lab", "LOGNAME=lab",
		"LC_ALL=C.UTF-8", // arguments and environment are UTF-8
	}, o.Env...)
	// In the foreground, so that it dies with this process, and every program
	// of the prefix dies with it. Persistent: a cold start costs 0.6 s.
	l.server, err = lab.Start(lab.Options{
		Path: server, Args: []string{"-f", "-p"}, Env: l.env, Log: filepath.Join(dir, "wineserver.log"),
	})
	if err != nil {
		return nil, err
	}
	if err := l.listening(ctx); err != nil {
		return nil, errors.Join(err, l.halt())
	}
	return l, nil
}

// listening waits until the server can be connected to: a program that is
// started earlier finds a part of what the server is making, and gives up.
func (l *Lab) listening(ctx context.Context) error {
	info, err := os.Stat(l.prefix)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its inode cannot be told", l.prefix)
	}
	socket := fmt.Sprintf("server-%x-%x/socket", stat.Dev, stat.Ino)
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // a healthy one takes 10 ms
	defer cancel()
	return lab.WaitFor(ctx, "Wine's server", func(context.Context) error {
		if err := l.server.Exited(); err != nil {
			return err
		}
		debian, err := filepath.Glob(filepath.Join(l.dir, "tmp", "wine-*", socket))
		if err != nil {
			return err
		}
		original := filepath.Join("/tmp", fmt.Sprintf(".wine-%d", os.Getuid()), socket)
		if _, err := os.Stat(original); err != nil && len(debian) == 0 {
			return errors.New("no socket")
		}
		return nil
	})
}

// Dir is the folder of this machine that holds everything of the lab.
func (l *Lab) Dir() string { return l.dir }

// Stop ends every process of the lab and removes its folder.
func (l *Lab) Stop() error {
	if l == nil {
		return nil
	}
	return errors.Join(l.halt(), os.RemoveAll(l.dir))
}

// halt ends every process of the lab: the server on its own request, which
// saves the registry, and whatever did not notice by force.
func (l *Lab) halt() error {
	l.halted.Do(func() {
		// By SIGINT the server ends all programs, saves the registry and ends;
		// by the SIGTERM of Stop it leaves programs behind.
		_ = syscall.Kill(l.server.PID(), syscall.SIGINT) // gone already is as good
		select {
		case <-l.server.Done():
		case <-time.After(10 * time.Second):
		}
		l.err = errors.Join(l.server.Stop(time.Second), endProcessesOf(l.prefix, 2*time.Second))
	})
	return l.err
}

// endProcessesOf waits for the end of the prefix's processes and kills those
// that are left after grace. Most end with their server, which also ends with
// this process; Wine's device drivers do not notice when it was killed.
func endProcessesOf(prefix string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace+10*time.Second)
	defer cancel()
	patience := time.Now().Add(grace)
	return lab.WaitFor(ctx, "the end of the lab's programs", func(context.Context) error {
		pids := processesOf(prefix)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(patience) {
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
			}
		}
		return fmt.Errorf("processes %v", pids)
	})
}

// processesOf returns the processes that have prefix as their WINEPREFIX.
// Zombies, whose environment is gone, are not among them.
func processesOf(prefix string) []int {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	var pids []int
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil {
			continue // ended, or another user's
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if string(v) == "WINEPREFIX="+prefix {
				pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
				if err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// sweep removes the folders of labs whose process is gone.
func sweep(labs string) error {
	if err := os.MkdirAll(labs, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(labs)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), "-")
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			continue
		}
		dir := filepath.Join(labs, e.Name())
		if err := endProcessesOf(filepath.Join(dir, "prefix"), 0); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
