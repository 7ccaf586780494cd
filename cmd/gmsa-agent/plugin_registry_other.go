//go:build !windows

package main

import "github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"

// errWindowsOnly is what the plugin's commands answer here.
var errWindowsOnly = &pluginError{&platformError{"Container Credential Guard, which has plugins, exists on Windows only"}}

func localMachine() (ccgplugin.Registry, error) { return nil, errWindowsOnly }
