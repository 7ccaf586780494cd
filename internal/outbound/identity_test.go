package outbound

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestTheClientShowsItsCertificateToAServerThatAsks(t *testing.T) {
	var seen [][]byte
	s := server(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		s.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for _, c := range r.TLS.PeerCertificates {
				seen = append(seen, c.Raw)
			}
		})
	})
	own := s.TLS.Certificates[0] // any pair will do
	via, err := Transport(Config{CAFile: caFile(t, s), Certificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := get(t, via, s.URL); err != nil || len(seen) != 1 || string(seen[0]) != string(own.Certificate[0]) {
		t.Errorf("%v; the server saw %d certificates", err, len(seen))
	}
}

func TestHTTP2IsSpokenUnlessItIsNotWanted(t *testing.T) {
	for want, c := range map[string]Config{"HTTP/2.0": {}, "HTTP/1.1": {HTTP1: true}} {
		var proto string
		s := server(t, func(s *httptest.Server) {
			s.EnableHTTP2 = true
			s.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proto = r.Proto })
		})
		c.CAFile = caFile(t, s)
		via, err := Transport(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := get(t, via, s.URL); err != nil || proto != want {
			t.Errorf("%v; spoken was %q, want %q", err, proto, want)
		}
	}
}
