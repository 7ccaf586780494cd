//go:build !windows

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/service"
)

// Files of a package for Linux. CCG is Windows' alone.
const (
	agentFile  = "gmsa-agent"
	pluginFile = ""
)

var (
	serviceArgs = []string{"run"}
	gateArgs    []string // Docker runs no containers here that have a gMSA
)

// packageFiles are a package's, and where people find them through all upgrades.
func packageFiles(_, root string) []service.File {
	return []service.File{{Name: agentFile, Stable: filepath.Join(root, "/usr/local/bin", agentFile)}}
}

func platformHost(root string) (*service.Host, error) {
	return &service.Host{
		Programs: filepath.Join(root, "/usr/local/lib", program),
		Records:  filepath.Join(root, "/var/lib", program),
		Manager:  &service.Systemd{Root: root},
	}, nil
}

// mayChangeHost says why this user may not.
func mayChangeHost() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: it takes root", fault.ErrDenied)
	}
	return service.Booted()
}
