package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// packagePath stands in every build of this command, if only because the Go linker
// stamps it there. A build recognises another by it, so that two of them never
// start each other in turn.
const packagePath = "github.com/gmsa-agent/gmsa-agent/cmd/containerd-shim-gmsa"

// A finder looks for the real shim.
type finder struct {
	self       string // the wrapper's executable
	name       string // the name that containerd called it by, with or without a folder
	settings   settings
	containerd string // the executable that called
}

// find returns the path of the real shim: the one that the settings name, else
// the file with the wrapper's name beside the containerd that called, else the
// first of that name on the PATH. It is never a build of the wrapper.
func (f finder) find() (string, error) {
	name := filepath.Base(f.name)
	if runtime.GOOS == "windows" && !strings.EqualFold(filepath.Ext(name), ".exe") {
		name += ".exe"
	}
	var candidates []string
	if f.settings.shim != "" {
		candidates = append(candidates, f.settings.shim)
	}
	if filepath.IsAbs(f.containerd) {
		candidates = append(candidates, filepath.Join(filepath.Dir(f.containerd), name))
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(folder) {
			candidates = append(candidates, filepath.Join(folder, name))
		}
	}
	self, err := os.Stat(f.self)
	if err != nil {
		return "", err
	}
	var causes []string
	for _, path := range candidates {
		err := usable(path, self)
		if err == nil {
			return path, nil
		}
		if path == f.settings.shim || !errors.Is(err, fs.ErrNotExist) {
			causes = append(causes, err.Error())
		}
	}
	causes = append(causes, "set shim in "+filepath.Join(filepath.Dir(f.self), settingsFile))
	return "", fmt.Errorf("the real shim %s: %w beside containerd or on the PATH: %s", name, fault.ErrNotFound, strings.Join(causes, "; "))
}

// usable returns why the file at path cannot be the real shim, nil if it can.
func usable(path string, self os.FileInfo) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s: not executable", path)
	case os.SameFile(info, self):
		return fmt.Errorf("%s: is this wrapper", path)
	}
	// Looking through a file takes longer than all the rest of the wrapper, so it is
	// not done with one that is far too large to be a build of it: a debugger's
	// build is one and a half times as large as a released one, and real shims are
	// three times as large and more.
	if info.Size() > 2*self.Size() {
		return nil
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.Contains(program, []byte(packagePath)) {
		return fmt.Errorf("%s: is another copy of this wrapper", path)
	}
	return nil
}
