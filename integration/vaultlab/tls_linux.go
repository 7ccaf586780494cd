package vaultlab

import (
	"crypto/x509"
	"crypto/x509/pkix"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// ClientCertificate writes a certificate of that common name and its key, and
// returns the paths. The lab's authority, CAFile, has signed it.
func (l *Lab) ClientCertificate(name string) (certFile, keyFile string, err error) {
	cert, err := l.authority.Issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = l.Path(name+".pem"), l.Path(name+"-key.pem")
	return certFile, keyFile, lab.WritePair(cert, certFile, keyFile)
}
