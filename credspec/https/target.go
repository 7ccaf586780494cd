package https

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// target is the URL of a reference.
func (s *Source) target(ref credspec.Ref) (*url.URL, error) {
	u, err := url.Parse(ref.Scheme + "://" + ref.Rest)
	if err != nil { // its text repeats the URL
		return nil, fmt.Errorf("the reference is not a URL: %w", fault.ErrMalformed)
	}
	if err := s.admit(u); err != nil {
		return nil, fmt.Errorf("the reference %w", err)
	}
	if u.Scheme == SchemePlain && !outbound.IsLoopback(u.Hostname()) {
		return nil, fmt.Errorf("the reference is plain http to another host; use https: %w", fault.ErrDenied)
	}
	return u, nil
}

// redirect is where a server's Location leads from u. Only https:// is
// followed, and http:// within this host.
func (s *Source) redirect(from *url.URL, location string) (*url.URL, error) {
	if location == "" {
		return nil, fmt.Errorf("a redirect that leads nowhere: %w", fault.ErrMalformed)
	}
	u, err := from.Parse(location)
	if err != nil || len(location) > credspec.MaxRef {
		return nil, fmt.Errorf("a redirect to what is not a URL: %w", fault.ErrMalformed)
	}
	u.Fragment, u.RawFragment = "", "" // it means something to browsers only
	if u.Scheme == SchemePlain && (from.Scheme != SchemePlain || !outbound.IsLoopback(u.Hostname())) {
		return nil, fmt.Errorf("a redirect to plain http: %w", fault.ErrDenied)
	}
	if err := s.admit(u); err != nil {
		return nil, fmt.Errorf("a redirect that %w", err)
	}
	return u, nil
}

// admit says what is wrong with a URL, and brings its host into the form in
// which hosts are compared.
func (s *Source) admit(u *url.URL) error {
	switch {
	case u.Scheme != Scheme && u.Scheme != SchemePlain:
		return fmt.Errorf("leads to %.20q, which is not https: %w", u.Scheme, fault.ErrDenied)
	case u.User != nil:
		return fmt.Errorf("has a user in it: %w", fault.ErrDenied)
	case u.Fragment != "":
		return fmt.Errorf("has a fragment: %w", fault.ErrMalformed)
	}
	host, err := canonicalHost(u)
	if err != nil {
		return err
	}
	u.Host = host
	// Here for the sake of the proxy, which is asked for addresses too.
	if err := s.cfg.CheckHost(u.Hostname()); err != nil {
		return fmt.Errorf("is refused: %w", err)
	}
	if _, listed := s.hosts[hostPort(u)]; s.cfg.RestrictToHosts && !listed {
		return fmt.Errorf("leads to %s, which is not among the hosts that the configuration allows: %w", u.Host, fault.ErrDenied)
	}
	return nil
}

// hostKey reads a host, or host:port, of the configuration.
func hostKey(name string) (string, error) {
	u, err := url.Parse(Scheme + "://" + name)
	if err != nil || u.Host != name || u.User != nil {
		return "", fmt.Errorf("is not a host, or host:port: %w", fault.ErrMalformed)
	}
	if u.Host, err = canonicalHost(u); err != nil {
		return "", err
	}
	return hostPort(u), nil
}

// hostPort is how hosts are compared, with the port that the scheme implies.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPort(u.Scheme)
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func defaultPort(scheme string) string {
	if scheme == SchemePlain {
		return "80"
	}
	return "443"
}

// canonicalHost is a URL's host in lower case, with an international name in
// its ASCII form, an address as netip prints it, and no port that the scheme
// implies.
func canonicalHost(u *url.URL) (string, error) {
	host, err := canonicalName(u.Hostname())
	if err != nil {
		return "", fmt.Errorf("has a malformed host (%w): %w", err, fault.ErrMalformed)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	switch port := u.Port(); {
	case strings.HasSuffix(u.Host, ":"), port == "", port == defaultPort(u.Scheme):
	default:
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", fmt.Errorf("has a malformed port: %w", fault.ErrMalformed)
		}
		host += ":" + strconv.FormatUint(n, 10)
	}
	return host, nil
}

func canonicalName(host string) (string, error) {
	if strings.ContainsFunc(host, func(r rune) bool { return r > 0x7e }) {
		// As net/http would do it, but here, where the result is looked at.
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return "", errors.New("not an international name")
		}
		host = ascii
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a.String(), nil
	}
	host = strings.ToLower(host)
	const most = 253 // RFC 1035, 2.3.4, as text
	switch {
	case host == "":
		return "", errors.New("none")
	case len(host) > most:
		return "", errors.New("too long")
	case strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return "", errors.New("characters that no name has")
	}
	return host, nil
}

// place is a URL as people may see it: in a query there may be signatures.
func place(u *url.URL) string {
	s := u.Scheme + "://" + u.Host + u.EscapedPath()
	if u.RawQuery != "" {
		s += "?…"
	}
	return s
}
