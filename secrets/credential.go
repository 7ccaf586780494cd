package secrets

import (
	"strings"
	"time"
)

// Credential is a plugin user's account and password.
type Credential struct {
	// Domain is the DNS or the NetBIOS name of the user's domain, as the
	// secret has it.
	Domain string
	// User is the account's name (sAMAccountName) without the domain, or a
	// user principal name if the secret names the domain beside it.
	User string
	// Password is UTF-8, delivered exactly as it was stored.
	Password Secret
	// Version names what was fetched, in the store's own words: two fetches
	// with equal versions had equal content. It is not secret. Empty if the
	// store cannot tell.
	Version string
	// Expires is when the store takes the credential back or replaces it, as far
	// as it says: the end of a lease, the next rotation. Zero if it does not
	// say. No cache gives the credential out from then on.
	Expires time.Time
	// Asked is when the store was asked that gave the credential, and Stale why
	// it cannot be asked now, if the credential is given out beyond its time for
	// that reason. A [Cache] sets both; a store leaves them alone.
	Asked time.Time
	Stale error
}

// Clone returns a credential that is wiped on its own.
func (c *Credential) Clone() *Credential {
	d := *c
	d.Password = c.Password.Clone()
	return &d
}

// Wipe overwrites the password. A nil credential is fine.
func (c *Credential) Wipe() {
	if c != nil {
		c.Password.Wipe()
	}
}

// Serves reports whether the credential is of the domain with these names: a
// name with a dot is compared with the DNS name, one without with the NetBIOS
// name, never the other way round. Case does not matter; an empty name matches
// nothing.
func (c *Credential) Serves(dns, netbios string) bool { return sameDomain(c.Domain, dns, netbios) }

func sameDomain(domain, dns, netbios string) bool {
	domain, dns = strings.TrimSuffix(domain, "."), strings.TrimSuffix(dns, ".")
	other := netbios
	if strings.Contains(domain, ".") {
		other = dns
	}
	return domain != "" && strings.EqualFold(domain, other)
}
