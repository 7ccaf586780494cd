package s3lab

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// The server, built from its published module.
const (
	program = "github.com/versity/versitygw/cmd/versitygw"
	version = "v1.8.0"
)

// binary is where the built program is.
func binary() string {
	return lab.Cache("s3", version+"-"+runtime.Version(), "versitygw")
}

// Setup builds the server where it is missing: two minutes on two cores, 45 MB
// in the cache.
func Setup(ctx context.Context, report lab.Reporter) error {
	if err := lab.GoInstall(ctx, report, binary(), program, version); err != nil {
		return fmt.Errorf("set up the S3 lab: %w", err)
	}
	return nil
}

// Ready says why the lab cannot be started; nil when it can.
func Ready() error {
	if _, err := os.Stat(binary()); err != nil {
		return fmt.Errorf("versitygw %s is not built: run `make lab-s3`", version)
	}
	return nil
}
