package adlab

import (
	"net/netip"
	"strings"
)

// The accounts that every domain has. They are the lab's, not the product's.
const (
	// GMSA is the group managed service account, without the dollar sign.
	GMSA = "webapp01"
	// Readers is the group whose members may read GMSA's managed password.
	Readers = "WebApp01Hosts"
	// PluginUser is the name of a user in Readers.
	PluginUser = "gmsa-plugin"
	// Outsider is the name of a user who is not in Readers.
	Outsider = "outsider"
)

// recipe is what a domain's archive is made from.
type recipe struct {
	DNSName, NetBIOS, Host string
	IP                     netip.Addr
}

// recipes are the lab's domains. 127.0.10.0/24 is free on every machine: the
// kernel answers for all of 127.0.0.0/8 without an interface being changed.
// LDAP's and Kerberos's ports are fixed, so each domain has an address.
var recipes = []recipe{
	{DNSName: "contoso.com", NetBIOS: "CONTOSO", Host: "dc1", IP: netip.MustParseAddr("127.0.10.1")},
	{DNSName: "fabrikam.com", NetBIOS: "FABRIKAM", Host: "dc1", IP: netip.MustParseAddr("127.0.10.2")},
}

func (r recipe) realm() string { return strings.ToUpper(r.DNSName) }
func (r recipe) fqdn() string  { return r.Host + "." + r.DNSName }
func (r recipe) base() string  { return "DC=" + strings.ReplaceAll(r.DNSName, ".", ",DC=") }

// User is a user of a domain and the password that it has in this run of the lab.
type User struct {
	Name     string
	Password []byte
}

// String is the name alone, so that a test that prints a user does not print its password.
func (u User) String() string { return u.Name }

// GoString is the name alone.
func (u User) GoString() string { return u.Name }

// Domain is a running domain.
type Domain struct {
	DNSName string     // "contoso.com"
	NetBIOS string     // "CONTOSO"
	Realm   string     // "CONTOSO.COM"
	Host    string     // the domain controller's name, "dc1.contoso.com"
	IP      netip.Addr // the domain controller's address; its ports are the standard ones
	DNS     string     // the domain's DNS server as host:port
	CAFile  string     // PEM; what the domain controller's certificate is verified with
	BaseDN  string     // "DC=contoso,DC=com"

	Plugin   User // may read the managed password of GMSA
	Outsider User // may not

	admin   []byte // Administrator's password
	process *dc
}
