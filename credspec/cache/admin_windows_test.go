package cache

import (
	"testing"

	"golang.org/x/sys/windows"
)

func skipUnlessAdministrator(t testing.TB) {
	if !windows.GetCurrentProcessToken().IsElevated() {
		t.Skip("the cache's folder is for administrators alone; run the tests as one")
	}
}
