package outbound

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestAddressesThatAreRefused(t *testing.T) {
	for text, want := range map[string]error{
		"192.0.2.1":              nil,
		"127.0.0.1":              nil,
		"10.0.0.1":               nil,
		"::1":                    nil,
		"2001:db8::1":            nil,
		"fd00:ec2::1":            nil,
		"169.254.0.1":            ErrLinkLocal,
		"169.254.169.254":        ErrLinkLocal,
		"::ffff:169.254.169.254": ErrLinkLocal,
		"::169.254.169.254":      ErrLinkLocal,
		"64:ff9b::169.254.170.2": ErrLinkLocal,
		"2002:a9fe:a9fe::":       ErrLinkLocal,
		"fe80::1":                ErrLinkLocal,
		"fe80::a9fe:a9fe%eth0":   ErrLinkLocal,
		"fd00:ec2::254":          ErrMetadata,
		"fd00:ec2::23%eth0":      ErrMetadata,
		"100.100.100.200":        ErrMetadata,
		"64:ff9b::a83f:8110":     ErrMetadata, // 168.63.129.16
		"0.0.0.0":                ErrNoServer,
		"0.1.2.3":                ErrNoServer,
		"::":                     ErrNoServer,
		"::ffff:0.0.0.0":         ErrNoServer,
		"::0.0.0.2":              ErrNoServer,
		"224.0.0.1":              ErrNoServer,
		"240.0.0.1":              ErrNoServer,
		"255.255.255.255":        ErrNoServer,
		"ff02::1":                ErrNoServer,
	} {
		a := netip.MustParseAddr(text)
		err := Config{}.CheckAddr(a)
		if !errors.Is(err, want) || want != nil && !errors.Is(err, fault.ErrDenied) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
		err = Config{AllowLinkLocal: true}.CheckAddr(a)
		if want == ErrLinkLocal || want == ErrMetadata {
			want = nil
		}
		if !errors.Is(err, want) {
			t.Errorf("%s, where link-local ones are allowed: %v, want %v", text, err, want)
		}
	}
}

func TestHostsThatAreNamesOrAddressesDependingOnWhoIsAsked(t *testing.T) {
	for host, want := range map[string]error{
		"specs.contoso.example":  nil,
		"specs.contoso.example.": nil,
		"1password.example":      nil,
		"192.0.2.1.example":      nil,
		"0xfeed.example":         nil,
		"xn--bcher-kva.example":  nil,
		"0xyz":                   nil,
		"192.0.2.1":              nil,
		"169.254.169.254":        fault.ErrDenied,
		"2852039166":             fault.ErrMalformed,
		"0251.254.169.254":       fault.ErrMalformed,
		"0xa9.254.169.254":       fault.ErrMalformed,
		"169.254.0xa9fe":         fault.ErrMalformed,
		"169.254.0XA9FE.":        fault.ErrMalformed,
		"169.254.169.254.":       fault.ErrMalformed,
		"1.2.3.4.5":              fault.ErrMalformed,
		"0x":                     fault.ErrMalformed,
		"":                       fault.ErrMalformed,
	} {
		if err := (Config{}).CheckHost(host); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", host, err, want)
		}
	}
}

func TestLoopbackIsThisHost(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true, "::ffff:127.0.0.1": true,
		"localhost.example": false, "example": false, "192.0.2.1": false, "::": false, "0.0.0.0": false, "": false,
	} {
		if IsLoopback(host) != want {
			t.Errorf("%q: %t", host, !want)
		}
	}
}
