package outbound

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Connector is a [Transport] for those who live long: it reads the CA file
// with the first request, and again when the file has changed.
//
// A CA file that can't be read, or has no certificate, is an error of the
// request, which wraps fault.ErrUnavailable: the server has not been asked, and
// will be when the file is put right. It may be half written just now.
type Connector struct {
	cfg Config

	mu      sync.Mutex
	current *http.Transport
	of      os.FileInfo // the CA file that current trusts
}

// NewConnector returns a Connector. It fails with fault.ErrMalformed where the
// proxy is no URL; it reads no file yet.
func NewConnector(c Config) (*Connector, error) {
	if _, err := c.proxy(); err != nil {
		return nil, err
	}
	return &Connector{cfg: c}, nil
}

// RoundTrip implements http.RoundTripper.
func (c *Connector) RoundTrip(r *http.Request) (*http.Response, error) {
	t, err := c.transport()
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	return t.RoundTrip(r)
}

// CloseIdleConnections is of use at a Connector's end, which closes them
// earlier than they would be by themselves.
func (c *Connector) CloseIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		c.current.CloseIdleConnections()
	}
}

func (c *Connector) transport() (*http.Transport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Looked at before it is read: what changes in between is read again.
	now, err := look(c.cfg.CAFile)
	if err == nil && c.current != nil && same(now, c.of) {
		return c.current, nil
	}
	var t *http.Transport
	if err == nil {
		t, err = Transport(c.cfg)
	}
	if bad, ok := errors.AsType[*badFile](err); ok {
		return nil, fmt.Errorf("CA file %s %s: %w", bad.file, bad.problem, fault.ErrUnavailable)
	}
	if err != nil {
		return nil, fmt.Errorf("CA file %s: %w: %w", c.cfg.CAFile, fault.ErrUnavailable, cause(err))
	}
	if c.current != nil {
		c.current.CloseIdleConnections()
	}
	c.current, c.of = t, now
	return t, nil
}

// look is what there is to see of a file; nil where there is no file to look at.
func look(file string) (os.FileInfo, error) {
	if file == "" {
		return nil, nil
	}
	return os.Stat(file)
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}
