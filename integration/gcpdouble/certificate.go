package gcpdouble

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// Certificate is a kind of server certificate.
type Certificate int

// The kinds of certificates that the double's servers can show.
const (
	Good Certificate = iota
	Expired
	OtherHost
	Untrusted
)

// Present has the servers show another kind of certificate to new connections.
func (d *Double) Present(kind Certificate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.presents = kind
	clear(d.leaves)
}

// authority is a CA that was made for one double.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template(name)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	cert, err := sign(t, t, key, key)
	return &authority{cert, key}, err
}

// certificate makes the certificate for the name that a client asks for.
func (d *Double) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := hello.ServerName
	if leaf, ok := d.leaves[name]; ok {
		return leaf, nil
	}
	t := template(name)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.DNSNames = []string{name}
	by := d.ca
	switch d.presents {
	case Expired:
		t.NotAfter = t.NotBefore.Add(time.Minute)
	case OtherHost:
		t.DNSNames = []string{"other.example"}
	case Untrusted:
		var err error
		if by, err = newAuthority("another CA"); err != nil {
			return nil, err
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := sign(t, by.cert, key, by.key)
	if err != nil {
		return nil, err
	}
	leaf := &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
	d.leaves[name] = leaf
	return leaf, nil
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
