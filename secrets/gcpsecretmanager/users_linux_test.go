package gcpsecretmanager_test

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/netlab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets/gcpsecretmanager"
)

const innerUsers = "GMSA_AGENT_TEST_GCP_USERS"

// TestTheStoreOfUsersFindsItsWayByNameAndTrustsTheSystem has the store as New
// makes it, without what the other tests give it, in a process whose network
// has the names and addresses of Google's, and whose system trusts the double.
func TestTheStoreOfUsersFindsItsWayByNameAndTrustsTheSystem(t *testing.T) {
	if os.Getenv(innerUsers) != "" {
		for _, cfg := range usersConfigs(os.Getenv(innerUsers)) {
			s, err := gcpsecretmanager.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, s, gmsa, password)
			expect(t, s, gmsa, password)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		return
	}
	l := newLab(t)
	_, keyed := l.keyed(t)
	_, _, federated := l.federated(t)
	l.project.Allow("serviceAccount:" + email)
	out := inNetwork(t, l, "TestTheStoreOfUsersFindsItsWayByNameAndTrustsTheSystem", keyed.CredentialsFile+" "+federated.CredentialsFile, nil)
	if strings.Contains(out, password) || strings.Contains(out, "ya29.") {
		t.Errorf("a secret was printed: %s", out)
	}
	if got := len(l.Tokens()); got != 3 {
		t.Errorf("%d tokens were issued, want 3", got)
	}
}

func usersConfigs(files string) []gcpsecretmanager.Config {
	key, federation, _ := strings.Cut(files, " ")
	projects := []string{"contoso-prod"}
	return []gcpsecretmanager.Config{
		{Projects: projects},
		{Projects: projects, Credentials: "key_file", CredentialsFile: key},
		{Projects: projects, Credentials: "workload_identity", CredentialsFile: federation},
	}
}

// TestANameDoesNotLeadToAMetadataService has DNS lie: link-local addresses are
// for the metadata server only.
func TestANameDoesNotLeadToAMetadataService(t *testing.T) {
	if os.Getenv(innerUsers) != "" {
		l := &lab{Double: new(gcpdouble.Double)}
		s, err := gcpsecretmanager.New(gcpsecretmanager.Config{Projects: []string{"contoso-prod"}})
		if err != nil {
			t.Fatal(err)
		}
		refused(t, l, s, gmsa, fault.ErrDenied, host, "is a link-local address")
		return
	}
	l := newLab(t)
	inNetwork(t, l, "TestANameDoesNotLeadToAMetadataService", "1", map[string]netip.Addr{host: netip.MustParseAddr("169.254.169.254")})
	if n := l.asked(gcpdouble.SecretManager); n != 0 {
		t.Errorf("Secret Manager was asked %d times", n)
	}
}

// inNetwork runs a test of this package in a network with the double in it, and
// names that lead elsewhere.
func inNetwork(t *testing.T, l *lab, test, value string, elsewhere map[string]netip.Addr) string {
	t.Helper()
	if err := netlab.Ready(); err != nil {
		t.Skip(err)
	}
	n, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	at := netip.MustParseAddrPort("127.0.0.2:443")
	for _, name := range gcpdouble.Hosts() {
		to, lies := elsewhere[name]
		if !lies {
			to = at.Addr()
		}
		n.Name(name, to)
	}
	for from, to := range map[netip.AddrPort]string{at: l.Address, netip.MustParseAddrPort("169.254.169.254:80"): l.Metadata} {
		if _, err := n.Forward(from, to); err != nil {
			t.Fatal(err)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path, args, err := n.Command(exe, "-test.run=^"+test+"$")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(append(os.Environ(), innerUsers+"="+value, "SSL_CERT_DIR="+t.TempDir(), "SSL_CERT_FILE="+write(t, "ca.pem", string(l.CertificatePEM()))), loud...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	return out.String()
}
