package pluginharness

import (
	"os"
	"os/exec"
	"testing"
)

// sizeBudget is the design's for the DLL, in bytes: every plugin host loads it.
const sizeBudget = 3 << 20

func dllSize(t testing.TB) int64 {
	t.Helper()
	if _, err := exec.LookPath("x86_64-w64-mingw32-gcc"); err != nil {
		t.Skipf("%v: run `make lab-wine`", err)
	}
	b, err := build()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(b.dll)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestTheDLLIsWithinItsBudget(t *testing.T) {
	t.Parallel()
	size := dllSize(t)
	t.Logf("the DLL has %d bytes, its budget is %d", size, sizeBudget)
	if size > sizeBudget {
		t.Errorf("the DLL has %d bytes, %d more than its budget", size, size-sizeBudget)
	}
}

// BenchmarkDLLSize sets the DLL's size beside its budget.
func BenchmarkDLLSize(b *testing.B) {
	size := dllSize(b)
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op") // there is no operation
	b.ReportMetric(float64(size)/(1<<20), "MiB")
	b.ReportMetric(float64(sizeBudget)/(1<<20), "MiB-budget")
}
