package awsclient

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// maxAnswer bounds what is read of one answer, in bytes. The largest that we
// want is a credential spec of 1 MiB in JSON, of which each byte can take six.
const maxAnswer = 8 << 20

// The time that is given to what is on this host or its link. The SDK gives
// IMDS 250 ms for the connection and 500 ms for the answer, which a loaded host
// misses; where there is no such service, it is what a container waits for the
// refusal.
const (
	localDial   = time.Second
	localHeader = 2 * time.Second
	localWhole  = 5 * time.Second
)

// endpointClient connects to AWS's services, or to what stands in for them.
func endpointClient(caFile string) (*http.Client, error) {
	connector, err := outbound.NewConnector(outbound.Config{CAFile: caFile, HTTP1: true})
	if err != nil {
		return nil, err
	}
	return newClient(connector), nil
}

// metadataClient connects to the instance's metadata service, which is on a
// link-local address.
func metadataClient() *http.Client {
	return localClient(&net.Dialer{Timeout: localDial})
}

// containerClient connects to the hosts that the SDKs allow for the credentials
// of containers, whatever the name in the URL resolves to.
func containerClient() *http.Client {
	return localClient(&net.Dialer{Timeout: localDial, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !isContainerHost(ap.Addr()) {
			return fmt.Errorf("%s is neither a loopback address nor one of ECS or EKS: %w", ap.Addr(), fault.ErrDenied)
		}
		return nil
	}})
}

// The addresses of the agents of ECS and EKS Pod Identity.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
var containerHosts = []netip.Addr{
	netip.MustParseAddr("169.254.170.2"),
	netip.MustParseAddr("169.254.170.23"),
	netip.MustParseAddr("fd00:ec2::23"),
}

func isContainerHost(a netip.Addr) bool {
	a = a.Unmap()
	for _, h := range containerHosts {
		if a == h {
			return true
		}
	}
	return a.IsLoopback()
}

func localClient(d *net.Dialer) *http.Client {
	client := newClient(&http.Transport{
		DialContext:            d.DialContext,
		ResponseHeaderTimeout:  localHeader,
		IdleConnTimeout:        localWhole,
		MaxResponseHeaderBytes: 64 << 10,
	})
	client.Timeout = localWhole
	return client
}

// newClient follows no redirect: a request is signed for one host, and the
// token of another kind of request is for one host too.
func newClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     &bounded{t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded ends an answer that is too long with an error.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{resp.Body, maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

var errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// Read implements io.Reader.
func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left {
		p = p[:b.left+1] // one more, to tell an end from a limit
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, errTooLong
	}
	b.left -= n
	return n, err
}
