package vaultlab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// validity of the certificates, on either side of now.
const validity = 24 * time.Hour

// authority signs the certificates of one lab: the server's and its clients'.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "gmsa-agent's Vault lab"},
		IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{cert: template, key: key}
	der, err := a.sign(template, key)
	if err != nil {
		return nil, err
	}
	a.pem = block("CERTIFICATE", der)
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

// sign returns the certificate of a key, in DER.
func (a *authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-validity), time.Now().Add(validity)
	return x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
}

// issue writes a certificate and its key, in PEM.
func (a *authority) issue(template *x509.Certificate, certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	cert, err := a.sign(template, key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certFile, block("CERTIFICATE", cert), 0o600); err != nil {
		return err
	}
	return os.WriteFile(keyFile, block("PRIVATE KEY", der), 0o600)
}

func (a *authority) server(certFile, keyFile string) error {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "vault"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, certFile, keyFile)
}

// ClientCertificate writes a certificate of that common name and its key, and
// returns the paths. The lab's authority, CAFile, has signed it.
func (l *Lab) ClientCertificate(name string) (certFile, keyFile string, err error) {
	certFile, keyFile = l.Path(name+".pem"), l.Path(name+"-key.pem")
	return certFile, keyFile, l.authority.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, certFile, keyFile)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
