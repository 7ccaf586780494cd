package kubelab

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
)

// client is the certificate of a user: Kubernetes takes the common name for the
// user's and the organizations for the groups.
func (l *Lab) client(user string, groups ...string) (*tls.Certificate, error) {
	return l.authority.Issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// privateKey is a key in the older form (SEC 1), the only one that the API
// server takes for the key of its tokens.
func privateKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), err
}
