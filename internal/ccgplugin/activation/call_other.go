//go:build !windows

package activation

import (
	"errors"
	"fmt"
)

func call(string) (Answer, error) {
	return Answer{}, fmt.Errorf("activate the plugin: %w: COM exists on Windows only", errors.ErrUnsupported)
}
