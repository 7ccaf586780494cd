//go:build !windows

package cache

import "testing"

func skipUnlessAdministrator(testing.TB) {}
