package httpslab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
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

// authority is a CA that was made for one lab.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := template("httpslab CA")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign
	cert, err := sign(template, template, key, key)
	return &authority{cert, key}, err
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// server makes a server's certificate.
func (a *authority) server(kind Certificate) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := template("httpslab")
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.DNSNames, t.IPAddresses = Names, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	parent, signer := a.cert, a.key
	switch kind {
	case Good:
	case Expired:
		t.NotAfter = t.NotBefore.Add(time.Minute)
	case OtherHost:
		t.DNSNames, t.IPAddresses = []string{"other.example"}, nil
	case SelfSigned:
		parent, signer = t, key
	case ForClients:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	default:
		return tls.Certificate{}, fmt.Errorf("no certificate of kind %d", kind)
	}
	cert, err := sign(t, parent, key, signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}, nil
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour), // clocks differ
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func sign(cert, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
