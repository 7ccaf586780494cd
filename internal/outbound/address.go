package outbound

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// What is wrong with an address. They wrap fault.ErrDenied.
var (
	// ErrLinkLocal refuses a connection to a link-local address.
	ErrLinkLocal = fmt.Errorf("is a link-local address, where clouds have their metadata services: %w", fault.ErrDenied)
	// ErrMetadata refuses one to a metadata service that is elsewhere.
	ErrMetadata = fmt.Errorf("is the address of a cloud's metadata service: %w", fault.ErrDenied)
	// ErrNoServer refuses one to an address that no server has: unspecified
	// ones, which some systems take for this host, multicast and reserved ones.
	ErrNoServer = fmt.Errorf("is no server's address: %w", fault.ErrDenied)
	// ErrNotLoopback refuses one to another host without TLS.
	ErrNotLoopback = fmt.Errorf("is not on this host, and there is no TLS: %w", fault.ErrDenied)
)

// metadata are the services that give credentials to whoever asks from the
// right machine, and are not at a link-local address.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),      // AWS: instance metadata
	netip.MustParseAddr("fd00:ec2::23"),       // AWS: EKS Pod Identity
	netip.MustParseAddr("fd20:ce::254"),       // Google Cloud
	netip.MustParseAddr("fd00:c1::a9fe:a9fe"), // Oracle Cloud
	netip.MustParseAddr("168.63.129.16"),      // Azure: WireServer
	netip.MustParseAddr("100.100.100.200"),    // Alibaba Cloud
}

// reserved has "this network" (RFC 791) and class E with the broadcast address
// (RFC 1112).
var reserved = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4")}

// CheckAddr refuses an address that a configuration does not connect to. It is
// asked for every address that is dialled.
func (c Config) CheckAddr(a netip.Addr) error {
	a = plain(a)
	switch {
	case a.IsUnspecified(), a.IsMulticast(), contains(reserved, a):
		return &refusal{a, ErrNoServer}
	case c.AllowLinkLocal:
	case a.IsLinkLocalUnicast():
		return &refusal{a, ErrLinkLocal}
	default:
		for _, m := range metadata {
			if a == m {
				return &refusal{a, ErrMetadata}
			}
		}
	}
	return nil
}

// CheckHost refuses an address as CheckAddr does, and a host that is an
// address in one of inet_aton(3)'s spellings (2852039166, 0xa9fea9fe, 169.254.1):
// whether it is a name or an address would depend on who is asked. A name is
// checked when it has been resolved.
func (c Config) CheckHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil {
		return c.CheckAddr(a)
	}
	// As the URL standard tells them apart (url.spec.whatwg.org,
	// "ends in a number").
	last := strings.ToLower(strings.TrimSuffix(host, "."))
	last = last[strings.LastIndexByte(last, '.')+1:]
	digits, base := last, "0123456789"
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		digits, base = hex, "0123456789abcdef"
	}
	if strings.Trim(digits, base) == "" {
		return fmt.Errorf("%.100q is neither a name nor an IP address: %w", host, fault.ErrMalformed)
	}
	return nil
}

// IsLoopback says whether a URL's host is this one: "localhost" or a loopback
// address.
func IsLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && plain(a).IsLoopback()
}

// refusal is an error about an address.
type refusal struct {
	addr netip.Addr
	why  error
}

func (r *refusal) Error() string { return r.addr.String() + " " + r.why.Error() }
func (r *refusal) Unwrap() error { return r.why }

// control is what a dialer asks before it connects.
type control = func(network, address string, _ syscall.RawConn) error

func (c Config) refuse(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return c.CheckAddr(ap.Addr())
}

func refuseOthers(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if a := plain(ap.Addr()); !a.IsLoopback() {
		return &refusal{a, ErrNotLoopback}
	}
	return nil
}

// The IPv6 prefixes after which an IPv4 address stands, with its place.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4, RFC 3056
	{netip.MustParsePrefix("::/96"), 12},        // RFC 4291 2.5.5.1, deprecated
}

// plain is the address that a packet ends at: without a zone, and the IPv4 one
// in an IPv6 address that carries one.
func plain(a netip.Addr) netip.Addr {
	a = a.WithZone("").Unmap()
	if !a.Is6() || a.IsLoopback() || a.IsUnspecified() {
		return a
	}
	for _, c := range carriers {
		if c.prefix.Contains(a) {
			b := a.As16()
			return netip.AddrFrom4([4]byte(b[c.at : c.at+4]))
		}
	}
	return a
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
