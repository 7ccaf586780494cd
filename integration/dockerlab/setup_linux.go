package dockerlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// packages are Debian's dockerd with its command line, compose, and what the
// lab's image is made of.
var packages = []string{"docker.io", "docker-compose", "containerd", "runc", "busybox-static"}

// version is that of the current dockerd.
const version = "v2.0.0-beta.24"

// built is where the current dockerd is.
func built() string { return lab.Cache("docker", version, "dockerd") }

// Setup installs and builds what is missing. Debian's own dockerd, should its
// package start it, is not used.
func Setup(ctx context.Context, report lab.Reporter) error {
	if err := lab.Packages(ctx, report, "", packages...); err != nil {
		return err
	}
	return lab.GoInstall(ctx, report, built(), "github.com/moby/moby/v2/cmd/dockerd", version)
}

// Ready returns why the lab cannot run here, nil if it can.
func Ready() error {
	for _, f := range Flavours {
		if err := f.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// Ready returns why a lab of this flavour cannot run here, nil if it can.
func (f Flavour) Ready() error {
	if os.Getuid() != 0 {
		return errors.New("the Docker lab needs root: it makes namespaces, mounts and control groups")
	}
	if missing := lab.Missing(packages...); len(missing) > 0 {
		return fmt.Errorf("packages %s are missing: make lab-docker", strings.Join(missing, ", "))
	}
	if f == Current {
		if _, err := os.Stat(built()); err != nil {
			return errors.New("a current dockerd is not built: make lab-docker")
		}
	}
	return nil
}

// command is how dockerd of this flavour is called. Debian's command line speaks
// an API that a current dockerd has left behind, unless it is told otherwise.
func (f Flavour) command() []string {
	if f == Current {
		return []string{"/usr/bin/env", "DOCKER_MIN_API_VERSION=1.24", built()}
	}
	return []string{"/usr/sbin/dockerd"}
}

// settings are dockerd's in its file. Debian's runc knows no time namespaces.
func (f Flavour) settings() string {
	if f == Current {
		return `{"features": {"time-namespaces": false}}`
	}
	return "{}"
}
