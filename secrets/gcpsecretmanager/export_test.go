package gcpsecretmanager

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// NewVia returns a store that connects in another way, with short pauses
// between its attempts.
func NewVia(cfg Config, dial func(ctx context.Context, network, address string) (net.Conn, error), roots *x509.CertPool) (*Store, error) {
	connect := func(c outbound.Config) (http.RoundTripper, error) {
		t, err := outbound.Transport(c)
		if err != nil {
			return nil, err
		}
		t.DialContext = dial
		if c.CAFile == "" {
			t.TLSClientConfig.RootCAs = roots
		}
		return t, nil
	}
	return newStore(cfg, connect, pauses{first: time.Millisecond, most: 5 * time.Second})
}

// What the fuzz tests read.
var (
	ParseKey        = func(b []byte) error { _, err := parseKey(b); return err }
	ParseFederation = func(b []byte) error { _, err := parseFederation(b); return err }
	GoogleAnswer    = func(b []byte) string { s := googleAnswer(b); return s.or("-") + s.meaning() + s.state() }
	OAuthAnswer     = func(b []byte) string { code, meaning, _ := oauthAnswer(b); return code + meaning }
	Answers         = func(asked, name string) (string, bool) { return resource{name: asked}.answers(name) }
)
