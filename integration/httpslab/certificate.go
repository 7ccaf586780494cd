package httpslab

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Certificate is a kind of server certificate.
type Certificate int

// A good certificate is for 127.0.0.1, ::1 and the Names.
const (
	Good Certificate = iota
	Expired
	OtherHost
	SelfSigned
	ForClients
)

// Names are those of a good certificate. Only the proxy knows the way to those
// in .example.
var Names = []string{"localhost", "specs.contoso.example", "cdn.contoso.example", "xn--bcher-kva.example"}

// serverCertificate makes a server's certificate.
func serverCertificate(by *lab.Authority, kind Certificate) (*tls.Certificate, error) {
	t := lab.ServerTemplate(Names, net.IPv4(127, 0, 0, 1), net.IPv6loopback)
	switch kind {
	case Good:
	case Expired:
		t.NotBefore, t.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	case OtherHost:
		t.DNSNames, t.IPAddresses = []string{"other.example"}, nil
	case SelfSigned:
		return lab.SelfSigned(t)
	case ForClients:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	default:
		return nil, fmt.Errorf("no certificate of kind %d", kind)
	}
	return by.Issue(t)
}
