//go:build !windows

package audit

import "os"

func openShared(path string) (*os.File, error) { return os.Open(path) }
