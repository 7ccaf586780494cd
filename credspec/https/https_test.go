package https_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/integration/httpslab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

func TestSource(t *testing.T) {
	for name, via := range map[string]struct {
		opts  httpslab.Options
		plain bool
	}{"HTTP2": {}, "HTTP1": {opts: httpslab.Options{HTTP1: true}}, "without TLS": {plain: true}} {
		t.Run(name, func(t *testing.T) {
			credspectest.Run(t, func(t *testing.T) credspectest.Fixture {
				l := start(t, via.opts)
				at := l.URL
				if via.plain {
					at = l.Plain
				}
				return credspectest.Fixture{
					Source:  source(t, trusting(l)),
					Missing: ref(t, at+"/specs/missing"),
					Put: func(t *testing.T, name string, data []byte) credspec.Ref {
						l.Put(name, data)
						return ref(t, at+"/specs/"+name)
					},
				}
			})
		})
	}
}

// start starts a server with a document "x".
func start(t *testing.T, opts httpslab.Options) *httpslab.Lab {
	t.Helper()
	l, err := httpslab.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	l.Put("x", []byte(credspectest.Document))
	return l
}

func trusting(l *httpslab.Lab) https.Config {
	return https.Config{Config: outbound.Config{CAFile: l.CAFile}}
}

func source(t *testing.T, cfg https.Config) *https.Source {
	t.Helper()
	s, err := https.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.CloseIdleConnections)
	return s
}

func ref(t *testing.T, text string) credspec.Ref {
	t.Helper()
	r, err := credspec.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// want resolves what must give the document.
func want(t *testing.T, s *https.Source, url string) credspec.Document {
	t.Helper()
	doc, err := s.Resolve(t.Context(), ref(t, url))
	if err != nil || string(doc.Data) != credspectest.Document {
		t.Errorf("%s: %d bytes, error %v", url, len(doc.Data), err)
	}
	return doc
}

// refused resolves what must fail in one way, and in no other; the error has
// what texts say, and nothing that the server says.
func refused(t *testing.T, s *https.Source, url string, kind error, texts ...string) error {
	t.Helper()
	doc, err := s.Resolve(t.Context(), ref(t, url))
	if doc.Data != nil {
		t.Errorf("%s: a document of %d bytes came with error %v", url, len(doc.Data), err)
	}
	checkError(t, url, err, kind, texts...)
	return err
}

func checkError(t *testing.T, url string, err, kind error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want %v", url, kind)
		return
	}
	for _, k := range []error{fault.ErrNotFound, fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed} {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("%s: error %q; is %v: %t", url, err, k, k != kind)
		}
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %q, want %q in it", url, err, text)
		}
	}
	for _, secret := range []string{httpslab.Canary, httpslab.Token, "hunter2"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: error %q repeats %q", url, err, secret)
		}
	}
}

// hostOf is the host:port of a URL.
func hostOf(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func TestOriginIsTheURLWithoutItsQuery(t *testing.T) {
	l := start(t, httpslab.Options{})
	doc := want(t, source(t, trusting(l)), l.URL+"/specs/x?signature=hunter2")
	if got, want := doc.Origin, l.URL+"/specs/x?…"; got != want {
		t.Errorf("origin %s, want %s", got, want)
	}
}

func TestNewReadsNoFileAndAsksNobody(t *testing.T) {
	s := source(t, https.Config{
		Config: outbound.Config{CAFile: "/nonexistent/ca.pem"},
		Hosts:  map[string]https.Host{"specs.contoso.example": {TokenFile: "/nonexistent/token"}},
	})
	l := start(t, httpslab.Options{})
	refused(t, s, l.URL+"/specs/x", fault.ErrUnavailable, "CA file /nonexistent/ca.pem")
}

func TestNewRefusesWhatIsNoHostAndWhatIsGivenTwice(t *testing.T) {
	for name, hosts := range map[string][]string{
		"a URL":                {"https://specs.contoso.example"},
		"a path":               {"specs.contoso.example/x"},
		"a user":               {"me@specs.contoso.example"},
		"no name":              {""},
		"a bad name":           {"a b"},
		"no port":              {"specs.contoso.example:0"},
		"no such port":         {"specs.contoso.example:65536"},
		"two ports":            {"a:1:2"},
		"case":                 {"specs.contoso.example", "SPECS.contoso.example"},
		"the default port":     {"specs.contoso.example", "specs.contoso.example:443"},
		"an international one": {"bücher.example", "xn--bcher-kva.example"},
		"an address":           {"[::1]", "[0:0::1]"},
	} {
		cfg := https.Config{Hosts: make(map[string]https.Host)}
		for _, h := range hosts {
			cfg.Hosts[h] = https.Host{}
		}
		if _, err := https.New(cfg); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := https.New(https.Config{Config: outbound.Config{Proxy: "proxy:8080"}}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("a proxy that is no URL: error %v", err)
	}
}
