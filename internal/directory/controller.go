package directory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// Controller is a domain controller that answered.
type Controller struct {
	Host string     // "dc1.contoso.com"
	Addr netip.Addr // where it answered
}

// String is "dc1.contoso.com (10.0.0.1)".
func (d *Controller) String() string { return d.Host + " (" + d.Addr.String() + ")" }

// maxControllers bounds how many addresses are tried: enough for the domain
// controllers of a site and a few beyond.
const maxControllers = 16

// stagger is how long a domain controller has before the next one is tried
// beside it, as in RFC 8305: most of those that DNS names may be out of reach.
const stagger = 250 * time.Millisecond

// FindController returns the first domain controller whose KDC accepts a
// connection, in the order of their SRV priorities and weights.
func (c *Client) FindController(ctx context.Context) (*Controller, error) {
	const op = "find a domain controller"
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	candidates, err := c.candidates(ctx)
	if err != nil {
		return nil, c.errorAt(op, nil, err)
	}
	dc, err := c.race(ctx, candidates)
	return dc, c.errorAt(op, nil, err)
}

// candidates returns the addresses to try.
func (c *Client) candidates(ctx context.Context) ([]*Controller, error) {
	hosts := c.cfg.Controllers
	if len(hosts) == 0 {
		var err error
		if hosts, err = c.lookupSRV(ctx); err != nil {
			return nil, err
		}
	}
	var found []*Controller
	var errs []error
	for _, host := range hosts {
		host, fixed, isFixed := strings.Cut(strings.TrimSuffix(host, "."), "=")
		if addr, err := netip.ParseAddr(host); err == nil {
			return nil, failf(Malformed, "controller %v: a name is needed, because Kerberos and TLS verify it: NAME=%v", addr, addr)
		}
		if isFixed {
			addr, err := netip.ParseAddr(fixed)
			if err != nil {
				return nil, failf(Malformed, "controller %s=%s: not an IP address", host, fixed)
			}
			found = append(found, &Controller{host, addr})
			continue
		}
		addrs, err := c.resolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			errs = append(errs, c.dnsError(ctx, host, err))
		}
		for _, addr := range addrs {
			found = append(found, &Controller{host, addr.Unmap()})
		}
	}
	if len(found) == 0 {
		return nil, fail(Unreachable, errorList(errs))
	}
	return found[:min(len(found), maxControllers)], nil
}

// lookupSRV asks DNS for the domain's controllers (MS-ADTS 6.3.2.3).
func (c *Client) lookupSRV(ctx context.Context) ([]string, error) {
	name := "_ldap._tcp.dc._msdcs." + c.domain + "."
	_, records, err := c.resolver.LookupSRV(ctx, "", "", name)
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) && dns.IsNotFound {
		return nil, failf(NoSuchDomain, "no SRV record %s at the DNS server %s", name, c.askedDNS())
	}
	if err != nil {
		return nil, fail(Unreachable, c.dnsError(ctx, name, err))
	}
	var hosts []string
	for _, r := range records {
		hosts = append(hosts, r.Target)
	}
	return hosts, nil
}

// dnsError names the server that was really asked; the resolver's own text
// names one of the system's configuration, whatever it asked.
func (c *Client) dnsError(ctx context.Context, name string, err error) error {
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		err = errors.New(dns.Err)
	}
	err = fmt.Errorf("DNS server %s: %s: %w", c.askedDNS(), name, err)
	if ctx.Err() != nil {
		return errorList{context.Cause(ctx), err}
	}
	return err
}

func (c *Client) askedDNS() string {
	if len(c.cfg.DNS) == 0 {
		return "of the system"
	}
	return strings.Join(c.cfg.DNS, ", ")
}

// newResolver returns a resolver that asks the given servers in turn. It is
// Go's own on every platform, so that the system's configuration has no say.
func newResolver(servers []string) *net.Resolver {
	if len(servers) == 0 {
		return net.DefaultResolver
	}
	var turn atomic.Uint32
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			server := servers[int(turn.Add(1)-1)%len(servers)]
			if _, _, err := net.SplitHostPort(server); err != nil {
				server = net.JoinHostPort(strings.Trim(server, "[]"), "53")
			}
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, server)
			if err != nil && strings.HasPrefix(network, "udp") {
				// No UDP sockets (Wine 8 has none for Go programs): every DNS
				// server of AD answers over TCP, too.
				return d.DialContext(ctx, "tcp", server)
			}
			return conn, err
		},
	}
}

// race connects to the candidates' KDCs, each a little after the one before,
// and returns the first that answers.
func (c *Client) race(ctx context.Context, candidates []*Controller) (*Controller, error) {
	type result struct {
		dc  *Controller
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(candidates))
	try := func(dc *Controller) {
		conn, err := c.dial(ctx, dc, c.ports.kerberos)
		if err == nil {
			_ = conn.Close() // nothing was sent; that it opened is the answer
		}
		results <- result{dc, err}
	}
	next, pending := 0, 0
	var errs []error
	for {
		if next < len(candidates) {
			go try(candidates[next])
			next++
			pending++
		}
		var timer <-chan time.Time
		if next < len(candidates) {
			timer = time.After(stagger)
		}
		select {
		case r := <-results:
			if r.err == nil {
				return r.dc, nil
			}
			pending--
			errs = append(errs, fmt.Errorf("%s: %w", r.dc.Host, r.err))
			if pending == 0 && next == len(candidates) {
				return nil, fail(Unreachable, errorList(errs))
			}
		case <-timer:
		}
	}
}
