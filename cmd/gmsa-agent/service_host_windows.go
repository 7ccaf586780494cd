package main

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

// Files of a package for Windows.
const (
	agentFile  = "gmsa-agent.exe"
	pluginFile = "ccg-plugin.dll"
	shimFile   = "shim/containerd-shim-runhcs-v1.exe"
)

var (
	serviceArgs = []string{"run", "--" + flagService}
	gateArgs    = []string{"docker-gate", "--" + flagService}
)

// packageFiles are a package's, and where other programs' configuration, and
// people, find them through all upgrades.
func packageFiles(programs, _ string) []service.File {
	return []service.File{
		{Name: agentFile, Stable: filepath.Join(programs, agentFile)},
		{Name: pluginFile},
		{Name: shimFile, Stable: filepath.Join(programs, filepath.FromSlash(shimFile))},
	}
}

func platformHost(root string) (*service.Host, error) {
	if root != "" {
		return nil, usagef("--%s is for Linux: a Windows host must run to be changed", flagRoot)
	}
	programs, err := windows.KnownFolderPath(windows.FOLDERID_ProgramFiles, 0)
	if err != nil {
		return nil, fmt.Errorf("the folder of programs: %w", err)
	}
	return &service.Host{
		Programs: filepath.Join(programs, program),
		Records:  filepath.Dir(config.DefaultPath()),
		Manager:  service.SCM{},
		Plugin:   service.CCGPlugin(ccgplugin.LocalMachine()),
		Events:   service.EventSource(),
	}, nil
}

// mayChangeHost says why this user may not.
func mayChangeHost() error {
	if !windows.GetCurrentProcessToken().IsElevated() {
		return fmt.Errorf("%w: it takes an elevated administrator", fault.ErrDenied)
	}
	return nil
}
