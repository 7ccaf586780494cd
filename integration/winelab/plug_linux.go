package winelab

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

//go:embed plug/main_windows.go
var plugSource []byte

// PlugProgram returns the path of the program that Plug runs, for whoever must
// run it from within the lab. It takes the pipe's name and prints "held" and a
// newline when it is the pipe's first client. It is built once.
func PlugProgram(ctx context.Context) (string, error) {
	sum := sha256.Sum256(plugSource)
	path := lab.Cache("wine", "plug-"+hex.EncodeToString(sum[:6])+".exe")
	err := lab.Once(ctx, path, func(ctx context.Context, tmp string) error {
		return Build(ctx, "./integration/winelab/plug", tmp)
	})
	return path, err
}

// Plug is a connection to the first instance of a pipe.
type Plug struct{ process *lab.Process }

// Plug connects to the pipe as its first client and keeps the connection. Every
// pipe that a go-winio program of the lab listens on needs one, before its
// first client comes: go-winio keeps a first instance that only reserves the
// name. Windows connects nobody to it, Wine connects the first client, which
// then hangs. Plug waits for the pipe to exist. When the listener is started
// anew, so must be the plug.
func (l *Lab) Plug(ctx context.Context, pipe string) (*Plug, error) {
	exe, err := PlugProgram(ctx)
	if err != nil {
		return nil, err
	}
	name := "plug-" + strings.ReplaceAll(strings.TrimPrefix(pipe, `\\.\pipe\`), `\`, "-") + ".log"
	if err := os.RemoveAll(l.LogPath(name)); err != nil {
		return nil, err
	}
	process, err := l.StartProcess(Program{Exe: exe, Args: []string{pipe}, Log: name})
	if err != nil {
		return nil, err
	}
	err = lab.WaitFor(ctx, "somebody to listen on "+pipe, func(context.Context) error {
		if log, err := os.ReadFile(l.LogPath(name)); err == nil && bytes.Contains(log, []byte("held")) {
			return nil
		}
		if err := process.Exited(); err != nil {
			return err
		}
		return errors.New("no such pipe")
	})
	if err != nil {
		process.Kill()
		return nil, fmt.Errorf("plug: %w", err)
	}
	return &Plug{process}, nil
}

// AwaitEnd waits for the listener's end, which ends the plug, and gives the
// connection up when ctx ends first. A new listener's plug is to be started
// after it: before, it could get hold of the old pipe.
func (p *Plug) AwaitEnd(ctx context.Context) {
	select {
	case <-p.process.Done():
	case <-ctx.Done():
		p.process.Kill()
	}
}
