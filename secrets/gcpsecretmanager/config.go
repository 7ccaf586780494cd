package gcpsecretmanager

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// The values of Config.Credentials.
const (
	byMetadata = "metadata"
	byWorkload = "workload_identity"
	byKeyFile  = "key_file"
)

// check says what of the settings can't be meant.
func (c Config) check() error {
	bad := func(key, format string, args ...any) error {
		return fmt.Errorf("secrets.gcpsecretmanager.%s %s: %w", key, fmt.Sprintf(format, args...), fault.ErrMalformed)
	}
	for _, p := range c.Projects {
		if _, err := secrets.ParseRef(Scheme + "://projects/" + p + "/secrets/x"); err != nil {
			return bad("projects", "has %q, which is no project's id or number", p)
		}
	}
	switch c.Credentials {
	case "", byMetadata:
	case byWorkload, byKeyFile:
		if c.CredentialsFile == "" {
			return bad("credentials_file", "is missing: credentials is %s", c.Credentials)
		}
	default:
		return bad("credentials", "is none of %s, %s, %s", byMetadata, byWorkload, byKeyFile)
	}
	if c.Endpoint != "" {
		if err := checkEndpoint(c.Endpoint); err != nil {
			return fmt.Errorf("secrets.gcpsecretmanager.endpoint: %w", err)
		}
	}
	return nil
}

func checkEndpoint(endpoint string) error {
	u, err := url.Parse("https://" + endpoint)
	if err != nil || u.Host != endpoint || u.Hostname() == "" {
		return fmt.Errorf("%q is not a host, or host:port: %w", endpoint, fault.ErrMalformed)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("the port of %q is not a number from 1 to 65535: %w", endpoint, fault.ErrMalformed)
		}
	}
	if err := (outbound.Config{}).CheckHost(u.Hostname()); err != nil {
		// Whatever is wrong with the address, it can't be meant.
		return fmt.Errorf("%q is no server's address that may be asked: %w", endpoint, fault.ErrMalformed)
	}
	return nil
}
