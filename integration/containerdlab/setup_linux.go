package containerdlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

var packages = []string{"containerd", "runc", "busybox-static"}

// Setup installs what is missing. Debian's own containerd, should its package
// start it, is not used.
func Setup(ctx context.Context, report lab.Reporter) error {
	return lab.Packages(ctx, report, "", packages...)
}

// Ready returns why the lab cannot run here, nil if it can.
func Ready() error {
	if os.Getuid() != 0 {
		return errors.New("the containerd lab needs root: it makes namespaces, mounts and control groups")
	}
	if missing := lab.Missing(packages...); len(missing) > 0 {
		return fmt.Errorf("packages %s are missing: make lab-containerd", strings.Join(missing, ", "))
	}
	return nil
}
