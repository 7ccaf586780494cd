package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){program: main, "admit": admit, "serve": serve})
}

// TestScripts runs the real program as people do, one script per topic.
func TestScripts(t *testing.T) {
	testscript.Run(t, scripts("testdata/script"))
}

// scripts are those of a folder, with what they all need.
func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "") // a terminal in a script has colour
			env.Setenv("TERM", "xterm")
			env.Setenv("GORACE", "atexit_sleep_ms=10") // else each program waits a second at its end
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "eventually": eventually, "expand": expand, "readenv": readenv, "write": write, "httpslab": startHTTPSLab,
		},
	}
}

// exits runs "exits CODE PROGRAM [ARG...]" and checks the exit code, of which
// exec only knows whether it is 0.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("%s exits with %d, want %d", args[1], got, want)
	}
}

// eventually runs "eventually PROGRAM [ARG...]" until it exits with 0.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: eventually PROGRAM [ARG...]")
	}
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if err = ts.Exec(args[0], args[1:]...); err == nil {
			return
		}
	}
	ts.Fatalf("%s never succeeds: %v", args[0], err)
}

// expand runs "expand FILE..." and replaces the environment's variables in them.
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// readenv runs "readenv NAME FILE", which waits for the file and makes its
// content the value of an environment variable.
func readenv(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: readenv NAME FILE")
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(ts.MkAbs(args[1])); err == nil {
			ts.Setenv(args[0], string(text))
			return
		}
	}
	ts.Fatalf("%s does not come", args[1])
}

// serve is the program "serve FOLDER FILE": a web server on this host, whose
// address it writes to the file, until it is interrupted.
func serve() {
	folder, file := os.Args[1], os.Args[2]
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	go func() {
		<-interrupt
		os.Exit(0)
	}()
	err := func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		if err := os.WriteFile(file+".new", []byte(l.Addr().String()), 0o600); err != nil {
			return err
		}
		if err := os.Rename(file+".new", file); err != nil {
			return err
		}
		return http.Serve(l, http.FileServer(http.Dir(folder)))
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// write runs "write FILE TEXT", where TEXT is what stands between the quotes of a
// Go string: for files that a script cannot have, as they are no text.
func write(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: write FILE TEXT")
	}
	data, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(data), 0o600))
}

// admit is the program "admit ENDPOINT ID REF": the part of the shim wrapper.
func admit() {
	endpoint, id, ref := os.Args[1], os.Args[2], os.Args[3]
	err := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		conn, err := channel.Dial(ctx, channel.Control, endpoint)
		if err != nil {
			return err
		}
		defer conn.Close()
		return control.Call(ctx, conn, agent.VerbAdmit, hook.Facts{
			Key:            hook.Key{Runtime: "containerd", Namespace: "default", ID: id},
			CredentialSpec: ref,
		}, &hook.Admission{})
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
