package azurekeyvault_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
	"github.com/gmsa-agent/gmsa-agent/secrets/azurekeyvault"
)

// usersAddress is this test's alone.
const usersAddress = "127.0.30.1:443"

const innerUsers = "GMSA_AGENT_TEST_AZURE_USERS"

// TestTheStoreOfUsersFindsItsWayByNameAndTrustsTheSystem has the store as New
// makes it, without what the other tests give it: names come from DNS, and the
// double's CA is one of the system's, in a process that starts with it.
func TestTheStoreOfUsersFindsItsWayByNameAndTrustsTheSystem(t *testing.T) {
	if os.Getenv(innerUsers) != "" {
		usersStore(t)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ca := write(t, "ca.pem", "") // written when the double has one
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestTheStoreOfUsersFindsItsWayByNameAndTrustsTheSystem$", "-test.v")
	cmd.Env = append(os.Environ(), innerUsers+"="+ca, "SSL_CERT_FILE="+ca, "SSL_CERT_DIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == cannotListen {
		t.Skip(usersAddress + " cannot be had; it takes root, or net.ipv4.ip_unprivileged_port_start")
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

const cannotListen = 77

func usersStore(t *testing.T) {
	d, err := azuredouble.Start(azuredouble.Options{Address: usersAddress})
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		os.Exit(cannotListen)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop() })
	if err := os.WriteFile(os.Getenv(innerUsers), d.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	resolveBy(t, d)
	l := fill(t, d)
	_, cfg := l.workload(t)
	s, err := azurekeyvault.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, s, gmsa, password)
}
