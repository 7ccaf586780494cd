package vaultlab

import (
	"context"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Setup installs and builds what the lab needs and is not there yet.
func Setup(ctx context.Context, report lab.Reporter) error { return nil }

// Ready says what is missing.
func Ready() error { return nil }
