// Command ccg stands for ccg.exe; see package ccgdouble. It exits with 0 when
// the container may be created: the gMSA's ticket is there, or the credential
// spec names no plugin.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/ccgdouble"
)

// maxSpec bounds a credential spec: Kubernetes takes 64 KiB.
const maxSpec = 1 << 20

// timeout is less than the HCS double's, so that the report is still read.
const timeout = 45 * time.Second

func main() {
	r, err := run()
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(2)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil || r.Error != "" {
		os.Exit(1)
	}
}

func run() (ccgdouble.Report, error) {
	var cfg ccgdouble.Config
	if path := os.Getenv(ccgdouble.EnvConfig); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return ccgdouble.Report{}, err
		}
		if err := json.Unmarshal(data, &cfg); err != nil {
			return ccgdouble.Report{}, fmt.Errorf("%s: %w", path, err)
		}
	}
	spec, err := io.ReadAll(io.LimitReader(os.Stdin, maxSpec))
	if err != nil {
		return ccgdouble.Report{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return ccgdouble.Fetch(ctx, cfg, ccgdouble.COM{}, spec), nil
}
