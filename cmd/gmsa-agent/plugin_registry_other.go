//go:build !windows

package main

import "github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"

func localMachine() (ccgplugin.Registry, error) { return nil, errWindowsOnly }
