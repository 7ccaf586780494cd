package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// server is a TLS server; setup may change it before it starts.
func server(t *testing.T, setup func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that break off are the purpose
	if setup != nil {
		setup(s)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// caFile has the certificate of a server.
func caFile(t *testing.T, s *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, path, s)
	return path
}

func writePEM(t *testing.T, path string, s *httptest.Server) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get makes a request and returns why it failed.
func get(t *testing.T, via http.RoundTripper, url string) error {
	t.Helper()
	if c, ok := via.(interface{ CloseIdleConnections() }); ok {
		t.Cleanup(c.CloseIdleConnections)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := via.RoundTrip(req)
	if err != nil {
		return Explain(err)
	}
	return answer.Body.Close()
}

func transportOf(t *testing.T, c Config) *http.Transport {
	t.Helper()
	tr, err := Transport(c)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// resolve has every name stand for addresses, a list for each time that it is
// asked for; the last one stays.
func resolve(t *testing.T, answers ...[]string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // TCP, since Wine has no sockets for UDP that Go likes
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer conn.Close()
				for answerDNS(conn, func() []string { return answers[min(int(asked.Add(1)), len(answers))-1] }) == nil {
				}
			})
		}
	})
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		ln.Close()
		served.Wait()
	})
}

// answerDNS answers one question, as RFC 1035 4.2.2 frames it.
func answerDNS(conn net.Conn, addresses func() []string) error {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	question := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, question); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return err
	}
	m.Response, m.Additionals = true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		for _, text := range addresses() {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr(text).As4()},
			})
		}
	}
	answer, err := m.Pack()
	if err == nil {
		_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
	return err
}

// on is a URL with another host.
func on(t *testing.T, s *httptest.Server, host string) string {
	t.Helper()
	return "https://" + net.JoinHostPort(host, port(t, s.Listener.Addr()))
}

func port(t *testing.T, a net.Addr) string {
	t.Helper()
	_, p, err := net.SplitHostPort(a.String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestANameThatStandsForALinkLocalAddressIsRefused(t *testing.T) {
	s := server(t, nil)
	resolve(t, []string{"169.254.169.254"})
	err := get(t, transportOf(t, Config{CAFile: caFile(t, s)}), on(t, s, "specs.example.com"))
	if !errors.Is(err, ErrLinkLocal) || !strings.Contains(err.Error(), "169.254.169.254") {
		t.Errorf("error %v", err)
	}
}

// A name that answers with a good address first, for whoever looks, and then
// with another one, for whoever connects.
func TestANameThatAnswersDifferentlyTheSecondTimeGainsNothing(t *testing.T) {
	s := server(t, nil)
	resolve(t, []string{"127.0.0.1"}, []string{"169.254.169.254"})
	tr := transportOf(t, Config{CAFile: caFile(t, s)})
	tr.DisableKeepAlives = true
	if err := get(t, tr, on(t, s, "example.com")); err != nil { // a name of httptest's certificate
		t.Fatal(err)
	}
	if err := get(t, tr, on(t, s, "example.com")); !errors.Is(err, ErrLinkLocal) {
		t.Errorf("error %v", err)
	}
}

func TestLoopbackConnectsToNobodyElseWhateverANameStandsFor(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	url := "http://localhost.example:" + port(t, s.Listener.Addr())
	resolve(t, []string{"127.0.0.1"}, []string{"192.0.2.1"}, []string{"169.254.169.254"})
	tr := Loopback()
	tr.DisableKeepAlives = true
	if err := get(t, tr, url); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := get(t, tr, url); !errors.Is(err, ErrNotLoopback) || !errors.Is(err, fault.ErrDenied) {
			t.Errorf("error %v", err)
		}
	}
}

func TestOldVersionsOfTLSAreNotSpoken(t *testing.T) {
	s := server(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	})
	err := get(t, transportOf(t, Config{CAFile: caFile(t, s)}), s.URL)
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "TLS handshake failed: protocol version not supported") {
		t.Errorf("error %v", err)
	}
}

func TestTransportRefusesWhatIsNoProxyAndWhatIsNoCAFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	large := filepath.Join(t.TempDir(), "large.pem")
	if err := errors.Join(os.WriteFile(empty, nil, 0o600), os.WriteFile(large, bytes.Repeat([]byte("x"), maxCAFile+1), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  Config
		want error
	}{
		{Config{Proxy: "proxy:8080"}, fault.ErrMalformed},
		{Config{Proxy: "socks5://proxy"}, fault.ErrMalformed},
		{Config{Proxy: "http://:8080"}, fault.ErrMalformed},
		{Config{Proxy: "http://me:hunter2@proxy"}, fault.ErrMalformed},
		{Config{CAFile: empty}, fault.ErrMalformed},
		{Config{CAFile: large}, fault.ErrMalformed},
		{Config{CAFile: t.TempDir()}, fault.ErrMalformed},
		{Config{CAFile: filepath.Join(t.TempDir(), "none")}, fault.ErrNotFound},
	} {
		_, err := Transport(c.cfg)
		if !errors.Is(err, c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: error %v, want %v", c.cfg, err, c.want)
		}
	}
}

func TestAConnectorFollowsItsCAFile(t *testing.T) {
	s, other := server(t, nil), server(t, nil)
	path := filepath.Join(t.TempDir(), "ca.pem")
	c, err := NewConnector(Config{CAFile: path})
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		write func()
		want  error
	}{
		{func() {}, fault.ErrUnavailable},
		{func() { writeText(t, path, "no certificate") }, fault.ErrUnavailable},
		{func() { writePEM(t, path, s) }, nil},
		{func() { os.Remove(path) }, fault.ErrUnavailable},
		{func() { writePEM(t, path, other) }, nil}, // httptest has one certificate for all
	} {
		step.write()
		// A file system's clock may be too coarse for two writes.
		at := time.Unix(int64(i), 0)
		_ = os.Chtimes(path, at, at) // where there is one
		if err := get(t, c, s.URL); !errors.Is(err, step.want) || errors.Is(err, fault.ErrMalformed) || err != nil && !strings.Contains(err.Error(), path) {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
	}
	if _, err := NewConnector(Config{Proxy: "proxy"}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("a proxy that is no URL: %v", err)
	}
}

func TestAConnectorKeepsItsConnections(t *testing.T) {
	var connections atomic.Int32
	s := server(t, func(s *httptest.Server) {
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
	})
	c, err := NewConnector(Config{CAFile: caFile(t, s)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	for range 3 {
		answer, err := (&http.Client{Transport: c}).Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for three requests in a row", n)
	}
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
