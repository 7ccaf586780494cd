package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity of the certificates on either side of now. They live as long as
// their lab, and clocks are shifted in some.
const validity = 365 * 24 * time.Hour

// Authority is a certificate authority that was made for one lab.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewAuthority makes one.
func NewAuthority(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: name},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &Authority{t, key}
	a.Certificate, err = a.sign(t, key)
	return a, err
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
}

// Issue makes a key and its certificate, which is good now unless the template
// says when.
func (a *Authority) Issue(t *x509.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return a.certify(t, key)
}

// SelfSigned is Issue for a certificate that no authority has signed.
func SelfSigned(t *x509.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return (&Authority{t, key}).certify(t, key)
}

func (a *Authority) certify(t *x509.Certificate, key *ecdsa.PrivateKey) (*tls.Certificate, error) {
	t.KeyUsage = x509.KeyUsageDigitalSignature
	cert, err := a.sign(t, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

func (a *Authority) sign(t *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	t.SerialNumber = serial
	if t.NotAfter.IsZero() {
		t.NotBefore, t.NotAfter = time.Now().Add(-validity), time.Now().Add(validity)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// ServerTemplate is what [Authority.Issue] takes for a server with these names
// and addresses.
func ServerTemplate(names []string, addresses ...net.IP) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names, IPAddresses: addresses,
	}
}

// WriteTLS makes an authority and a server's certificate in a new folder:
// ca.pem, cert.pem, key.pem. The authority's key is forgotten at once.
func WriteTLS(dir, authority string, server *x509.Certificate) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	a, err := NewAuthority(authority)
	if err != nil {
		return err
	}
	leaf, err := a.Issue(server)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "ca.pem"), a.PEM(), 0o600),
		WritePair(leaf, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")),
	)
}

// WritePair writes a certificate and its key.
func WritePair(c *tls.Certificate, certFile, keyFile string) error {
	cert, key, err := PairPEM(c)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(certFile, cert, 0o600), os.WriteFile(keyFile, key, 0o600))
}

// PairPEM is a certificate and its key.
func PairPEM(c *tls.Certificate) (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
