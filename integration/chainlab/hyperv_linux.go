package chainlab

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/guestdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// envGuest is where the shim of Hyper-V isolation finds the guest's double.
const envGuest = "HCSDOUBLE_GUEST"

// winioVersion is the go-winio that hcsshim's go.mod asks for.
const winioVersion = "v0.6.2"

// hvsockListen takes the place of go-winio's ListenHvsock.
//
//go:embed hvsock/listen.go.txt
var hvsockListen []byte

// HyperVShim returns the path of a runhcs shim that can make utility VMs under
// Wine: hcsshim as it is published, with a go-winio whose listener on an
// HvSocket has the guest's double behind it. It is built once (half a minute
// beside the other programs).
func HyperVShim(ctx context.Context) (string, error) {
	sum := sha256.Sum256(hvsockListen)
	dir := strings.Join([]string{hcsshimVersion, "hyperv", hex.EncodeToString(sum[:6]), runtime.Version()}, "-")
	path := lab.Cache("windows", dir, shimName)
	return path, lab.Once(ctx, path, buildHyperVShim)
}

// buildHyperVShim builds hcsshim's shim as a dependency of a module that
// replaces go-winio: the rest of it is the module cache's.
func buildHyperVShim(ctx context.Context, out string) (err error) {
	dir, err := os.MkdirTemp("", "gmsa-agent-shim-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	hcsshim, err := module(ctx, "github.com/Microsoft/hcsshim", hcsshimVersion)
	if err != nil {
		return err
	}
	winio, err := module(ctx, "github.com/Microsoft/go-winio", winioVersion)
	if err != nil {
		return err
	}
	ours := filepath.Join(dir, "go-winio")
	if err := os.CopyFS(ours, os.DirFS(winio)); err != nil {
		return err
	}
	hvsock := filepath.Join(ours, "hvsock.go")
	source, err := os.ReadFile(hvsock)
	if err != nil {
		return err
	}
	replaced := bytes.Replace(source, []byte("func ListenHvsock("), []byte("func ListenHyperV("), 1)
	if bytes.Equal(replaced, source) {
		return fmt.Errorf("go-winio %s has no ListenHvsock", winioVersion)
	}
	sums, err := os.ReadFile(filepath.Join(hcsshim, "go.sum"))
	if err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(hcsshim, "go.mod"))
	if err != nil {
		return err
	}
	mod = regexp.MustCompile(`(?m)^module .*$`).ReplaceAll(mod, []byte("module lab.test/shim"))
	mod = fmt.Appendf(mod, "\nrequire github.com/Microsoft/hcsshim %s\n\nreplace github.com/Microsoft/go-winio => ./go-winio\n", hcsshimVersion)
	for name, data := range map[string][]byte{
		hvsock: replaced, filepath.Join(ours, "hvsock_lab.go"): hvsockListen,
		filepath.Join(dir, "go.mod"): mod, filepath.Join(dir, "go.sum"): sums,
	} {
		if err := errors.Join(os.RemoveAll(name), os.WriteFile(name, data, 0o600)); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-trimpath", stripped, "-o", out, "github.com/Microsoft/hcsshim/cmd/containerd-shim-runhcs-v1")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the shim of Hyper-V isolation: %w: %s", err, strings.TrimSpace(string(b)))
	}
	return nil
}

// module returns the folder of a module in the module cache.
func module(ctx context.Context, path, version string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", path+"@"+version)
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	var m struct{ Dir, Error string }
	if e := json.Unmarshal(out, &m); e != nil || m.Error != "" || m.Dir == "" {
		return "", fmt.Errorf("module %s@%s: %w", path, version, errors.Join(err, e, errors.New(m.Error)))
	}
	return m.Dir, nil
}

// prepareUtilityVM puts what a utility VM boots from into the image layer. None
// of it is looked into.
func (l *Lab) prepareUtilityVM(ctx context.Context) error {
	shim, err := HyperVShim(ctx)
	if err != nil {
		return err
	}
	if err := l.Install(shim, binFolder+`\real`); err != nil {
		return err
	}
	vm := layersFolder + `\base\UtilityVM`
	return errors.Join(
		os.MkdirAll(l.Path(vm+`\Files`), 0o700),
		os.WriteFile(l.Path(vm+`\SystemTemplate.vhdx`), nil, 0o600),
	)
}

// GuestMessages are what the guests of utility VMs were sent so far.
func (l *Lab) GuestMessages() []guestdouble.Message {
	if l.guest == nil {
		return nil
	}
	return l.guest.Messages()
}
