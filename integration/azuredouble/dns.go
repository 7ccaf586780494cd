package azuredouble

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// Resolver knows the names of the double's servers. A vault that was not made
// has no address, as in Azure.
func (d *Double) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", d.dns)
	}}
}

// Resolve has a name stand for another address.
func (d *Double) Resolve(name string, to netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[name] = to
}

// address is what a name stands for.
func (d *Double) address(name string) (netip.Addr, bool) {
	d.mu.Lock()
	to, ok := d.names[name]
	d.mu.Unlock()
	if ok {
		return to, true
	}
	served, err := netip.ParseAddrPort(d.Address)
	return served.Addr(), err == nil && (isLogin(name) || d.vault(name) != nil)
}

func (d *Double) serveDNS() (addr string, err error) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	d.close = append(d.close, conn)
	d.served.Go(func() {
		buf := make([]byte, 512) // RFC 1035, section 2.3.4
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return // stopped
			}
			if packed, ok := d.lookUp(buf[:n]); ok {
				_, _ = conn.WriteTo(packed, from) // the client asks again
			}
		}
	})
	return conn.LocalAddr().String(), nil
}

// lookUp answers a question of DNS.
func (d *Double) lookUp(query []byte) ([]byte, bool) {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil, false
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	to, ok := d.address(strings.ToLower(strings.TrimSuffix(q.Name.String(), ".")))
	switch {
	case !ok:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA && to.Is4():
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
			Body:   &dnsmessage.AResource{A: to.As4()},
		}}
	}
	packed, err := m.Pack()
	return packed, err == nil
}
