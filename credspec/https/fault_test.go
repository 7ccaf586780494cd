package https_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/integration/httpslab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestStatusesHaveTheirMeaning(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, trusting(l))
	for code, want := range map[string]struct {
		kind error
		text string
	}{
		"204": {fault.ErrMalformed, "answers 204 No Content"},
		"206": {fault.ErrMalformed, "answers 206"},
		"300": {fault.ErrMalformed, "answers 300"},
		"304": {fault.ErrMalformed, "answers 304"},
		"400": {fault.ErrMalformed, "answers 400 Bad Request"},
		"401": {fault.ErrDenied, "answers 401 Unauthorized; no token was sent"},
		"403": {fault.ErrDenied, "answers 403 Forbidden; no token was sent"},
		"404": {fault.ErrNotFound, "answers 404 Not Found"},
		"405": {fault.ErrMalformed, "answers 405"},
		"408": {fault.ErrUnavailable, "answers 408"},
		"410": {fault.ErrNotFound, "answers 410 Gone"},
		"429": {fault.ErrUnavailable, "answers 429 Too Many Requests and asks to try again after 120s"},
		"451": {fault.ErrDenied, "answers 451"},
		"499": {fault.ErrMalformed, "answers 499:"},
		"500": {fault.ErrUnavailable, "answers 500"},
		"503": {fault.ErrUnavailable, "answers 503 Service Unavailable and asks to try again after 120s"},
		"799": {fault.ErrUnavailable, "answers 799:"},
	} {
		refused(t, s, l.URL+"/status/"+code+"?signature=hunter2", want.kind, hostOf(t, l.URL), want.text)
	}
}

func TestNoPartOfADocumentLeavesTheSource(t *testing.T) {
	for name, opts := range map[string]httpslab.Options{"HTTP2": {}, "HTTP1": {HTTP1: true}} {
		t.Run(name, func(t *testing.T) {
			l := start(t, opts)
			s := source(t, trusting(l))
			for _, kind := range []string{httpslab.Truncated, httpslab.Chunked, httpslab.TooShort} {
				refused(t, s, l.URL+"/fault/"+kind+"/x", fault.ErrUnavailable, "stopped after")
			}
			refused(t, s, l.URL+"/fault/"+httpslab.Closed+"/x", fault.ErrUnavailable, "cannot be asked")
		})
	}
}

// Where a document ends with the connection, nobody can tell whether it ended
// too early.
func TestADocumentWithoutALengthIsRefused(t *testing.T) {
	l := start(t, httpslab.Options{HTTP1: true})
	s := source(t, trusting(l))
	refused(t, s, l.URL+"/fault/"+httpslab.Unlengthed+"/x", fault.ErrMalformed, "without its length")
	refused(t, s, l.Plain+"/fault/"+httpslab.Unlengthed+"/x", fault.ErrMalformed, "without its length")
}

func TestMoreThanADocumentIsNotRead(t *testing.T) {
	for name, opts := range map[string]httpslab.Options{"HTTP2": {}, "HTTP1": {HTTP1: true}} {
		t.Run(name, func(t *testing.T) {
			l := start(t, opts)
			s := source(t, trusting(l))
			for _, kind := range []string{httpslab.Huge, httpslab.Endless} {
				refused(t, s, l.URL+"/fault/"+kind+"/x", fault.ErrMalformed, "more than 1048576 bytes")
			}
			refused(t, s, l.URL+"/fault/"+httpslab.LongHeader+"/x", fault.ErrUnavailable)
		})
	}
}

func TestTheGreatestDocumentIsRead(t *testing.T) {
	l := start(t, httpslab.Options{})
	l.Put("greatest", bytes.Repeat([]byte(" "), credspec.MaxSize))
	doc, err := source(t, trusting(l)).Resolve(t.Context(), ref(t, l.URL+"/specs/greatest"))
	if err != nil || len(doc.Data) != credspec.MaxSize {
		t.Errorf("%d bytes, %v", len(doc.Data), err)
	}
}

func TestNothingIsUnpacked(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, trusting(l))
	for _, kind := range []string{httpslab.GzipBomb, httpslab.Gzipped} {
		refused(t, s, l.URL+"/fault/"+kind+"/x", fault.ErrMalformed, `compressed ("gzip")`)
	}
}

// A sign-in page comes with status 200. Taken for the document, it would be
// cached as the last good one.
func TestAWebPageIsNoDocument(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, trusting(l))
	refused(t, s, l.URL+"/fault/"+httpslab.WebPage+"/x", fault.ErrUnavailable, "a web page")
	want(t, s, l.URL+"/fault/"+httpslab.HTMLDocument+"/x")
}

func TestASlowServerIsWaitedForAsLongAsTheCallerWants(t *testing.T) {
	l := start(t, httpslab.Options{})
	l.Put("long", bytes.Repeat([]byte("x"), credspec.MaxSize)) // three hours at a drip
	s := source(t, trusting(l))
	for _, url := range []string{l.URL + "/fault/" + httpslab.SlowHeader + "/x", l.URL + "/fault/" + httpslab.Drip + "/long", l.Silent + "/x"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		doc, err := s.Resolve(ctx, ref(t, url))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || doc.Data != nil {
			t.Errorf("%s: %d bytes, error %v", url, len(doc.Data), err)
		}
		checkError(t, url, errors.Join(err, fault.ErrUnavailable), fault.ErrUnavailable, hostOf(t, url))
	}
}

func TestAServerThatIsGoneIsUnavailable(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, trusting(l))
	want(t, s, l.URL+"/specs/x")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := ln.Addr().String()
	ln.Close()
	refused(t, s, "https://"+gone+"/x", fault.ErrUnavailable, gone, "nobody listens there")
	refused(t, s, "https://nowhere.invalid/x", fault.ErrUnavailable, `"nowhere.invalid"`)
}

// The author of a reference learns nothing of what else listens in the
// agent's network.
func TestAServerOfAnotherProtocolIsNotQuoted(t *testing.T) {
	l := start(t, httpslab.Options{HTTP1: true})
	s := source(t, trusting(l))
	refused(t, s, l.URL+"/fault/"+httpslab.NotHTTP+"/x", fault.ErrUnavailable, "no answer of HTTP")
	refused(t, s, l.Plain+"/fault/"+httpslab.NotHTTP+"/x", fault.ErrUnavailable, "no answer of HTTP")
	refused(t, s, "https://"+hostOf(t, l.Plain)+"/specs/x", fault.ErrUnavailable, "does not speak TLS")
}

func TestACertificateThatIsNotAcceptableSaysWhy(t *testing.T) {
	for kind, text := range map[httpslab.Certificate]string{
		httpslab.Expired:    "which is not now",
		httpslab.OtherHost:  `is for "other.example" and not for "127.0.0.1"`,
		httpslab.SelfSigned: "is signed by itself",
		httpslab.ForClients: "is not one for servers",
	} {
		l := start(t, httpslab.Options{Certificate: kind})
		refused(t, source(t, trusting(l)), l.URL+"/specs/x", fault.ErrUnavailable, text, "CA file "+l.CAFile)
		if asked := l.Requests(); len(asked) > 0 {
			t.Errorf("%s: asked nevertheless: %v", text, asked)
		}
	}
	good, other := start(t, httpslab.Options{}), start(t, httpslab.Options{})
	refused(t, source(t, trusting(other)), good.URL+"/specs/x", fault.ErrUnavailable, `a CA that is not trusted here, "CN=httpslab CA"`, other.CAFile)
}

func TestBadReferencesAreMalformedOrDenied(t *testing.T) {
	s := source(t, trusting(start(t, httpslab.Options{})))
	for text, kind := range map[string]error{
		"https://%zz/x":                   fault.ErrMalformed,
		"https:///x":                      fault.ErrMalformed,
		"https://host:0/x":                fault.ErrMalformed,
		"https://host:65536/x":            fault.ErrMalformed,
		"https://a b/x":                   fault.ErrMalformed,
		"https://a\"b/x":                  fault.ErrMalformed,
		"https://ho\u00adst\u200b\ufffd/": fault.ErrMalformed,
		"https://" + strings.Repeat("a.", 200) + "example/x": fault.ErrMalformed,
		"https://host/x#fragment":                            fault.ErrMalformed,
		"https://me:hunter2@host/x":                          fault.ErrDenied,
		"http://host/x":                                      fault.ErrDenied,
		"http://10.0.0.1/x":                                  fault.ErrDenied,
		"gopher://host/x":                                    fault.ErrDenied,
		"https://2852039166/latest":                          fault.ErrMalformed,
		"https://0xA9FEA9FE/latest":                          fault.ErrMalformed,
		"https://169.254.43518/latest":                       fault.ErrMalformed,
		"https://169.254.169.254/latest":                     fault.ErrDenied,
		"https://169.254.169.254:8443/latest":                fault.ErrDenied,
		"https://[::ffff:169.254.169.254]/latest":            fault.ErrDenied,
		"https://[64:ff9b::a9fe:a9fe]/latest":                fault.ErrDenied,
		"https://[2002:a9fe:a9fe::1]/latest":                 fault.ErrDenied,
		"https://[fe80::1%25eth0]/latest":                    fault.ErrDenied,
		"https://[fd00:ec2::254]/latest":                     fault.ErrDenied,
		"https://１６９.254.169。254/latest":                     fault.ErrDenied, // mapped by IDNA
		"https://0.0.0.0/x":                                  fault.ErrDenied,
		"https://[::]/x":                                     fault.ErrDenied,
		"https://224.0.0.1/x":                                fault.ErrDenied,
		"https://255.255.255.255/x":                          fault.ErrDenied,
	} {
		scheme, rest, _ := strings.Cut(text, "://") // not by ParseRef, which is the first lock
		_, err := s.Resolve(t.Context(), credspec.Ref{Scheme: scheme, Rest: rest})
		checkError(t, text, err, kind)
	}
}

func BenchmarkResolve(b *testing.B) {
	l, err := httpslab.Start(httpslab.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Stop() }()
	l.Put("x", []byte(credspectest.Document))
	s, err := https.New(trusting(l))
	if err != nil {
		b.Fatal(err)
	}
	defer s.CloseIdleConnections()
	r, err := credspec.ParseRef(l.URL + "/specs/x")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Resolve(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
