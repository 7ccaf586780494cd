//go:build !windows

package docker

func daemonConfig() string { return "/etc/docker/daemon.json" }

func defaultRoot() string { return "/var/lib/docker" }
