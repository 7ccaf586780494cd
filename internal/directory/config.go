package directory

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Config says how to reach the domain controllers of one domain. The zero
// Config asks the system's DNS and trusts the system's certificates.
type Config struct {
	// DNS are the DNS servers to ask, as host or host:port. Empty: the system's.
	DNS []string
	// Controllers are domain controllers to use in place of those that DNS
	// names: "dc1.contoso.com", or "dc1.contoso.com=10.0.0.1" where DNS does
	// not know it. The name is needed in any case: Kerberos and TLS verify it.
	Controllers []string
	// CAFile is a PEM file that the domain controllers' certificates are
	// verified with. Empty: the system's certificates; and where they do not
	// verify, LDAP falls back to port 389, sealed with Kerberos.
	CAFile string
	// Timeout bounds each exchange with a server; zero: 10 seconds.
	Timeout time.Duration
}

const defaultTimeout = 10 * time.Second

// maxCAFile is far more than all of Mozilla's roots (200 KiB).
const maxCAFile = 4 << 20

// Client asks one domain. It is safe for concurrent use.
type Client struct {
	cfg      Config
	domain   string // lower case
	realm    string // upper case
	roots    *x509.CertPool
	resolver *net.Resolver
	ports    ports
}

// ports are a domain controller's; tests use others.
type ports struct{ kerberos, ldap, ldaps string }

// New returns a client of the domain with that DNS name. It reads the CA file
// and asks nobody.
func New(cfg Config, domain string) (*Client, error) {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	c := &Client{
		cfg: cfg, domain: domain, realm: strings.ToUpper(domain),
		resolver: newResolver(cfg.DNS), ports: ports{"88", "389", "636"},
	}
	if c.cfg.Timeout <= 0 {
		c.cfg.Timeout = defaultTimeout
	}
	const op = "use the configuration"
	if err := checkDomain(domain); err != nil {
		return nil, c.errorAt(op, nil, fail(Malformed, err))
	}
	if cfg.CAFile != "" {
		roots, err := loadRoots(cfg.CAFile)
		if err != nil {
			return nil, c.errorAt(op, nil, fail(Malformed, err))
		}
		c.roots = roots
	}
	return c, nil
}

func loadRoots(path string) (*x509.CertPool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	if info.Size() > maxCAFile {
		return nil, fmt.Errorf("CA file %s: larger than %d bytes", path, maxCAFile)
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s: has no PEM certificate", path)
	}
	return roots, nil
}

// checkDomain takes what AD takes as a domain's DNS name (MS-ADTS 3.1.1.1.4):
// labels of letters, digits, hyphens and underscores.
func checkDomain(name string) error {
	if name == "" || len(name) > 253 {
		return errors.New("the domain's DNS name is empty or longer than 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return fmt.Errorf("%q is not a DNS name: a label is empty or longer than 63 characters", name)
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' {
				return fmt.Errorf("%q is not a DNS name: it has a %q", name, r)
			}
		}
	}
	return nil
}

// baseDN is the domain's naming context.
func (c *Client) baseDN() string {
	return "DC=" + strings.ReplaceAll(c.domain, ".", ",DC=")
}
