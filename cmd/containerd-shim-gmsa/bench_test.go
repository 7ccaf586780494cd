package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
)

// budget is what the wrapper may add, at the median, to the real shim's start of
// a container that does not ask.
const budget = 3 * time.Millisecond

// typicalConfig is the size in bytes of the config.json of a Kubernetes container.
const typicalConfig = 12 << 10

// BenchmarkStartOfAContainerThatDoesNotAsk runs start alternately as containerd
// would without the wrapper and through it, and reports the median difference of
// the pairs. The real shim is a program that does nothing: what it takes is not
// the wrapper's. Beside it stands, from the same run, what a Go program adds
// that does nothing but become the real shim: no wrapper in Go adds less.
func BenchmarkStartOfAContainerThatDoesNotAsk(b *testing.B) {
	folder := b.TempDir()
	wrapper := build(b, filepath.Join(folder, "wrapper", shimName()), ".")
	source := filepath.Join(folder, "real.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	real := build(b, filepath.Join(folder, "real", shimName()), source)
	if err := os.Truncate(real, 20<<20); err != nil { // as large as real shims are
		b.Fatal(err)
	}
	config := append([]byte(`{"ociVersion":"1.2.1","annotations":{"a":"b"},"process":{"args":["`), make([]byte, typicalConfig)...)
	for i, c := range config {
		if c == 0 {
			config[i] = 'x'
		}
	}
	config = append(config, `"]}}`...)
	if err := os.WriteFile(filepath.Join(folder, bundle.FileName), config, 0o600); err != nil {
		b.Fatal(err)
	}
	start := func(program string) time.Duration {
		cmd := exec.Command(program, "-namespace", "default", "-address", "", "-publish-binary", filepath.Join(filepath.Dir(real), "containerd"), "-id", "a", "start")
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "GOMAXPROCS=2") // as containerd 2 sets it
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil || len(out) != 0 {
			b.Fatalf("%s: %v: %s", program, err, out)
		}
		return time.Since(began)
	}
	bare := ""
	if runtime.GOOS != "windows" { // where no process becomes another one
		source := filepath.Join(folder, "bare.go")
		if err := os.WriteFile(source, fmt.Appendf(nil, bareSource, real), 0o600); err != nil {
			b.Fatal(err)
		}
		bare = build(b, filepath.Join(folder, "bare", shimName()), source)
		start(bare)
	}
	start(real)
	start(wrapper)
	var added, least []time.Duration
	for b.Loop() {
		alone := start(real)
		added = append(added, start(wrapper)-alone)
		if bare != "" {
			least = append(least, start(bare)-alone)
		}
	}
	median := middle(added)
	b.ReportMetric(float64(median.Microseconds())/1000, "ms-added")
	b.ReportMetric(float64(budget.Microseconds())/1000, "budget-ms")
	if bare != "" {
		b.ReportMetric(float64(middle(least).Microseconds())/1000, "bare-ms-added")
	}
	b.ReportMetric(0, "ns/op") // of a pair, which says nothing
	b.Logf("the wrapper adds %v at the median of %d pairs; budget %v", median.Round(10*time.Microsecond), len(added), budget)
}

// bareSource is a Go program that becomes another one.
const bareSource = `package main

import (
	"os"
	"syscall"
)

func main() { _ = syscall.Exec(%q, os.Args, os.Environ()) }
`

func middle(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// build builds the program of a package or a file as a release is built.
func build(b *testing.B, dest, what string) string {
	b.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		b.Skip("needs the go command")
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", dest, what)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return dest
}
