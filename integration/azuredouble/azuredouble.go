// Package azuredouble is a double of the parts of Azure that Azure Key Vault's
// users meet: the vaults' REST API for reading secrets, the Instance Metadata
// Service's token endpoint (IMDS), and Microsoft Entra ID's, for applications
// with a certificate or a federated token.
//
// No server of Microsoft's can be had for tests. The double follows what
// Microsoft documents of the three:
//
//   - https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret
//   - https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
//   - https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses
//   - https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
//   - https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
//   - https://learn.microsoft.com/entra/identity-platform/certificate-credentials
//
// It is told what there is by its methods and not through Azure's management
// API, which it does not have.
//
// It runs in the test's process, on loopback addresses with free ports, several
// at once if need be, and needs nothing to be set up. Its servers have the real
// names: [Double.Dial] connects to them by those, and [Double.Roots] signs them.
// It knows secrets as texts; what a credential is it does not know.
package azuredouble

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Canary stands in what the double says besides secrets and tokens: in error
// messages, in pages that are no answer. No error of a client may repeat it.
const Canary = "canary-answer-7be204"

// Double is a running double.
type Double struct {
	// Tenant is the directory of the vaults, identities and applications.
	Tenant string
	// Address is "127.0.0.1:PORT", where vaults and Entra ID are served by TLS;
	// IMDS is "127.0.0.1:PORT", without TLS.
	Address, IMDS string

	stop         context.CancelFunc // of what waits in a handler
	stops        context.Context
	close        []io.Closer
	served       sync.WaitGroup
	certificates *lab.Presenter
	dns          string // "127.0.0.1:PORT", by UDP

	mu           sync.Mutex
	vaults       map[string]*Vault       // by host
	names        map[string]netip.Addr   // of the DNS, instead of where they are served
	identities   []*Identity             // assigned to the host
	applications map[string]*Application // by client id
	tokens       map[string]*token
	issued       []string
	lifetime     lifetime
	faults       map[Service][]Fault
	always       map[Service]Fault
	requests     map[Service][]Request
}

// Service is one of the parts.
type Service int

// The parts of the double.
const (
	KeyVault Service = iota
	IMDS
	Entra
)

// Request is one that a part got.
type Request struct {
	Method string
	Host   string
	Path   string // with the query
	Header http.Header
	Form   map[string][]string // what was posted
}

// Options choose a double.
type Options struct {
	// Address is where vaults and Entra ID are served, "127.0.0.1:0" if empty.
	// With port 443, a client that resolves names by [Double.Resolver] and
	// trusts [Double.CertificatePEM] reaches them as it reaches Azure.
	Address string
}

// Start starts a double; the caller stops it.
func Start(opts Options) (*Double, error) {
	d := &Double{
		Tenant:       NewID(),
		vaults:       map[string]*Vault{},
		names:        map[string]netip.Addr{},
		applications: map[string]*Application{},
		tokens:       map[string]*token{},
		faults:       map[Service][]Fault{},
		always:       map[Service]Fault{},
		requests:     map[Service][]Request{},
	}
	d.stops, d.stop = context.WithCancel(context.Background())
	if err := d.start(cmp.Or(opts.Address, "127.0.0.1:0")); err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	return d, nil
}

func (d *Double) start(address string) (err error) {
	if d.certificates, err = lab.NewPresenter("azuredouble CA"); err != nil {
		return err
	}
	secure := d.server(http.HandlerFunc(d.secure))
	secure.TLSConfig = &tls.Config{GetCertificate: d.certificates.GetCertificate}
	if d.Address, err = d.listen(address, func(ln net.Listener) error { return secure.ServeTLS(ln, "", "") }); err != nil {
		return err
	}
	if d.dns, err = d.serveDNS(); err != nil {
		return err
	}
	d.IMDS, err = d.listen("127.0.0.1:0", d.server(d.part(IMDS, http.HandlerFunc(d.imds))).Serve)
	return err
}

func (d *Double) server(h http.Handler) *http.Server {
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)} // clients that leave are the purpose
	d.close = append(d.close, s)
	return s
}

func (d *Double) listen(at string, serve func(net.Listener) error) (addr string, err error) {
	ln, err := net.Listen("tcp", at)
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
// has, as [net.Dialer]'s DialContext does. A vault that was not made has no
// address, as in Azure.
func (d *Double) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	var to string
	switch {
	case host == "169.254.169.254" && port == "80":
		to = d.IMDS
	case port == "443" && (isLogin(host) || d.vault(host) != nil):
		to = d.Address
	default:
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, to)
}

// Roots has the CA of the double's servers.
func (d *Double) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(d.certificates.Certificate)
	return pool
}

// CertificatePEM is the CA's certificate.
func (d *Double) CertificatePEM() []byte { return d.certificates.PEM() }

// secure serves vaults and Entra ID, which the name of the server tells apart.
func (d *Double) secure(w http.ResponseWriter, r *http.Request) {
	host := strings.ToLower(strings.TrimSuffix(r.Host, ":443"))
	if isLogin(host) {
		d.part(Entra, http.HandlerFunc(d.entra)).ServeHTTP(w, r)
		return
	}
	v := d.vault(host)
	if v == nil {
		http.Error(w, Canary, http.StatusMisdirectedRequest)
		return
	}
	d.part(KeyVault, v).ServeHTTP(w, r)
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
	return append([]Request(nil), d.requests[s]...)
}

// NewID returns a random GUID.
func NewID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
