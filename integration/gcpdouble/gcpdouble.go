// Package gcpdouble is a double of the parts of Google Cloud that the users of
// Google Secret Manager meet: its REST API for reading secrets, at the global
// endpoint and at regional ones; the metadata server's token endpoint; Google's
// OAuth 2.0 endpoint, for service accounts with a key; the Security Token
// Service, for workload identities; and the IAM Credentials API, for those that
// impersonate a service account.
//
// No server of Google's can be had for tests. The double follows what Google
// documents:
//
//   - https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
//   - https://cloud.google.com/secret-manager/regional-secrets/access-regional-secret
//   - https://cloud.google.com/apis/design/errors
//   - https://cloud.google.com/compute/docs/access/authenticate-workloads
//   - https://developers.google.com/identity/protocols/oauth2/service-account#httprest
//   - https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
//   - https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
//
// It is told what there is by its methods and not through Google's own ways of
// setting things up, which it does not have.
//
// It runs in the test's process, on loopback addresses with free ports, several
// at once if need be, and needs nothing to be set up. Its servers have the real
// names: [Double.Dial] connects to them by those, and [Double.Roots] signs them.
// It knows secrets as bytes; what a credential is it does not know.
package gcpdouble

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Canary stands in what the double says besides secrets and tokens: in error
// messages, in pages that are no answer. No error of a client may repeat it.
const Canary = "canary-answer-4f19c3"

// Locations are the ones with a regional endpoint.
var Locations = []string{"europe-west3", "us-central1"}

// Double is a running double.
type Double struct {
	// Address is "127.0.0.1:PORT", where all but the metadata server are served
	// by TLS; Metadata is "127.0.0.1:PORT", without TLS.
	Address, Metadata string

	stop         context.CancelFunc // of what waits in a handler
	stops        context.Context
	close        []io.Closer
	served       sync.WaitGroup
	certificates *lab.Presenter

	mu        sync.Mutex
	projects  []*Project
	accounts  map[string]*ServiceAccount // by email
	providers map[string]*Provider       // by audience
	attached  *attached
	tokens    map[string]*token
	issued    []string
	lifetime  lifetime
	faults    map[Service][]Fault
	always    map[Service]Fault
	requests  map[Service][]Request
}

// Service is one of the parts.
type Service int

// The parts of the double.
const (
	SecretManager Service = iota
	MetadataServer
	OAuth
	STS
	IAMCredentials
)

// hosts are the names of the parts that have one, but for regional endpoints.
var hosts = map[string]Service{
	"secretmanager.googleapis.com":  SecretManager,
	"oauth2.googleapis.com":         OAuth,
	"sts.googleapis.com":            STS,
	"iamcredentials.googleapis.com": IAMCredentials,
}

// Hosts returns the names of the double's servers at Address, sorted.
func Hosts() []string {
	var all []string
	for name := range hosts {
		all = append(all, name)
	}
	for _, l := range Locations {
		all = append(all, regional(l))
	}
	slices.Sort(all)
	return all
}

func regional(location string) string { return "secretmanager." + location + ".rep.googleapis.com" }

// Request is one that a part got.
type Request struct {
	Method string
	Host   string
	Path   string // with the query
	Header http.Header
	Form   map[string][]string // what was posted
}

// Start starts a double; the caller stops it.
func Start() (*Double, error) {
	d := &Double{
		accounts:  map[string]*ServiceAccount{},
		providers: map[string]*Provider{},
		tokens:    map[string]*token{},
		faults:    map[Service][]Fault{},
		always:    map[Service]Fault{},
		requests:  map[Service][]Request{},
	}
	d.stops, d.stop = context.WithCancel(context.Background())
	if err := d.start(); err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	return d, nil
}

func (d *Double) start() (err error) {
	if d.certificates, err = lab.NewPresenter("gcpdouble CA"); err != nil {
		return err
	}
	secure := d.server(http.HandlerFunc(d.secure))
	secure.TLSConfig = &tls.Config{GetCertificate: d.certificates.GetCertificate}
	if d.Address, err = d.listen(func(ln net.Listener) error { return secure.ServeTLS(ln, "", "") }); err != nil {
		return err
	}
	d.Metadata, err = d.listen(d.server(d.part(MetadataServer, http.HandlerFunc(d.metadata))).Serve)
	return err
}

func (d *Double) server(h http.Handler) *http.Server {
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)} // clients that leave are the purpose
	d.close = append(d.close, s)
	return s
}

func (d *Double) listen(serve func(net.Listener) error) (addr string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	d.close = append(d.close, ln)
	d.served.Go(func() { _ = serve(ln) }) // ends with Stop
	return ln.Addr().String(), nil
}

// Stop ends the double. Connections to it break.
func (d *Double) Stop() error {
	d.stop()
	for _, c := range d.close {
		_ = c.Close() // a listener is closed by its server, too
	}
	d.served.Wait()
	return nil
}

// Dial connects to one of the double's servers by the name that the real one
// has, as [net.Dialer]'s DialContext does. A name that is none of them has no
// address.
func (d *Double) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var to string
	switch {
	case (host == "169.254.169.254" || host == "metadata.google.internal") && port == "80":
		to = d.Metadata
	case port == "443" && slices.Contains(Hosts(), host):
		to = d.Address
	default:
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	return new(net.Dialer).DialContext(ctx, network, to)
}

// Roots has the CA of the double's servers.
func (d *Double) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(d.certificates.Certificate)
	return pool
}

// CertificatePEM is the CA's certificate.
func (d *Double) CertificatePEM() []byte { return d.certificates.PEM() }

// secure serves the parts that the name of the server tells apart. Another name
// or an address, which only a client with an endpoint of its own can have, is
// Secret Manager's.
func (d *Double) secure(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	var h http.Handler
	s := hosts[strings.ToLower(host)]
	switch s {
	case OAuth:
		h = http.HandlerFunc(d.oauth)
	case STS:
		h = http.HandlerFunc(d.sts)
	case IAMCredentials:
		h = http.HandlerFunc(d.iam)
	default:
		h = http.HandlerFunc(d.secretManager)
	}
	d.part(s, h).ServeHTTP(w, r)
}

// part writes a request down and lets it meet the fault that is set.
func (d *Double) part(s Service, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		_ = r.ParseForm() // what is no form has none
		d.mu.Lock()
		d.requests[s] = append(d.requests[s], Request{r.Method, r.Host, r.URL.RequestURI(), r.Header.Clone(), r.PostForm})
		fault := d.always[s]
		if queue := d.faults[s]; len(queue) > 0 {
			fault, d.faults[s] = queue[0], queue[1:]
		}
		d.mu.Unlock()
		if fault == nil {
			h.ServeHTTP(w, r)
			return
		}
		fault(d, w, r, h)
	})
}

// Requests returns what a part got since the double was started.
func (d *Double) Requests(s Service) []Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.requests[s])
}

// Requested is how many requests all parts got.
func (d *Double) Requested() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, of := range d.requests {
		n += len(of)
	}
	return n
}
