package adlab

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// The suite that has a Samba with gMSAs (4.22; Debian 12 itself has 4.17).
const suite = "bookworm-backports"

// packages are what the lab runs. samba-ad-provision is only a recommendation
// of samba-ad-dc; libfaketime shifts a domain controller's clock; krb5-user has kinit.
var packages = []string{"samba", "samba-ad-dc", "samba-ad-provision", "samba-vfs-modules", "libfaketime", "krb5-user"}

var (
	//go:embed provision.sh
	provisionScript string
	//go:embed objects.py
	objectsScript string
)

// Setup installs what the lab needs and provisions the domains that are not in
// the cache yet, at the same time: 10 to 20 seconds on two cores, nothing when
// all is there.
func Setup(ctx context.Context, report lab.Reporter) error {
	if os.Getuid() != 0 {
		return errRoot
	}
	if err := lab.Packages(ctx, report, suite, packages...); err != nil {
		return fmt.Errorf("adlab: %w", err)
	}
	version, err := sambaVersion()
	if err != nil {
		return fmt.Errorf("adlab: %w", err)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(recipes))
	for i, r := range recipes {
		wg.Go(func() {
			dest := r.archive(version)
			errs[i] = lab.Once(ctx, dest, func(ctx context.Context, tmp string) error {
				report("provisioning the domain %s", r.realm())
				start := time.Now()
				if err := provision(ctx, r, tmp); err != nil {
					return err
				}
				report("provisioned the domain %s in %v", r.realm(), time.Since(start).Round(100*time.Millisecond))
				return nil
			})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("adlab: %w", err)
	}
	return nil
}

var errRoot = errors.New("adlab: needs root, for mount and process namespaces")

// Ready says why the lab cannot run, or nil if it can.
func Ready() error {
	if os.Getuid() != 0 {
		return errRoot
	}
	if missing := lab.Missing(packages...); len(missing) > 0 {
		return fmt.Errorf("adlab: not installed: %s (`make lab-ad` installs them)", strings.Join(missing, ", "))
	}
	version, err := sambaVersion()
	if err != nil {
		return fmt.Errorf("adlab: %w", err)
	}
	for _, r := range recipes {
		if _, err := os.Stat(r.archive(version)); err != nil {
			return fmt.Errorf("adlab: the domain %s is not provisioned (`make lab-ad` does it)", r.realm())
		}
	}
	return nil
}

func sambaVersion() (string, error) {
	out, err := exec.Command("dpkg-query", "-W", "-f=${Version}", "samba").Output()
	if err != nil {
		return "", fmt.Errorf("version of samba: %w", err)
	}
	return string(out), nil
}

// The files in an archive's folder.
const (
	stateFile = "state.tar.gz"
	adminFile = "administrator" // the password
)

// archive is the folder in the cache that has the provisioned domain, named
// after everything that went into it.
func (r recipe) archive(samba string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%+v\n%s %s", samba, provisionScript, objectsScript, r, GMSA, Readers)
	return lab.Cache("ad", r.NetBIOS+"-"+hex.EncodeToString(h.Sum(nil))[:12])
}

// provision makes the domain and writes it to the folder dest.
func provision(ctx context.Context, r recipe, dest string) (err error) {
	if err := os.MkdirAll(dest, 0o700); err != nil {
		return err
	}
	// The script runs in dest; what only it needs goes away again.
	objects := filepath.Join(dest, "objects.py")
	if err := os.WriteFile(objects, []byte(objectsScript), 0o600); err != nil {
		return err
	}
	password := newPassword()
	request, err := json.Marshal(map[string]any{
		"AdminPassword": string(password), "Host": r.Host, "Group": Readers, "Accounts": []string{GMSA},
	})
	if err != nil {
		return err
	}
	state, err := os.OpenFile(filepath.Join(dest, stateFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()

	// The parent death signal is sent when the thread ends that started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", provisionScript, "provision", r.DNSName, r.NetBIOS, r.Host, r.IP.String())
	cmd.Dir = dest
	cmd.Stdin, cmd.Stdout = bytes.NewReader(request), state
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("provision %s: %w: %s", r.realm(), err, tail(log.String(), 2000))
	}
	if err := os.Remove(objects); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dest, adminFile), password, 0o600)
}

func tail(s string, n int) string { return strings.TrimSpace(s[max(0, len(s)-n):]) }

// newPassword returns 128 random bits in a form that meets a domain's
// complexity rules: upper case, digits and lower case.
func newPassword() []byte { return []byte(rand.Text() + "-2q") }
