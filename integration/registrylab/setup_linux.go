package registrylab

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// The registry, built from its published module. Debian's is of the release
// before.
const (
	program = "github.com/distribution/distribution/v3/cmd/registry"
	version = "v3.1.2"
)

// binary is where the built program is.
func binary() string {
	return lab.Cache("registry", version+"-"+runtime.Version(), "registry")
}

// Setup builds the registry where it is missing: two minutes on two cores, 55 MB
// in the cache.
func Setup(ctx context.Context, report lab.Reporter) error {
	if err := lab.GoInstall(ctx, report, binary(), program, version); err != nil {
		return fmt.Errorf("set up the registry lab: %w", err)
	}
	return nil
}

// Ready says why the lab cannot be started; nil when it can.
func Ready() error {
	if _, err := os.Stat(binary()); err != nil {
		return fmt.Errorf("the registry %s is not built: run `make lab-registry`", version)
	}
	return nil
}
