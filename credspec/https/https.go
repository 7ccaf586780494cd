// Package https resolves https:// references (and http:// ones to this host):
// documents behind a URL.
//
// The author of a reference is whoever may start a container, and the agent
// asks in his place: from another network, and with tokens. So a URL leads to
// servers and never to a cloud's metadata service, a token goes to the one
// host that it is for, redirects are followed here, one by one, by the same
// rules as references, and an error tells nothing of what a server said but
// its status. See docs/sources/https.md for what remains.
//
// The package does not look into documents.
package https

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// Scheme is the scheme of its references; SchemePlain that of references to
// this host's loopback addresses.
const (
	Scheme      = "https"
	SchemePlain = "http"
)

// Config says how to connect. Its zero value trusts the system's certificates
// and sends no credentials.
type Config struct {
	outbound.Config

	Hosts           map[string]Host // by host, or host:port where it is not 443
	RestrictToHosts bool            // refuse every host that is not in Hosts
}

// Host is what is particular to one server.
type Host struct {
	CAFile    string // instead of Config.CAFile
	TokenFile string // holds the bearer token that this host, and no other, is sent
}

// Source implements credspec.Revalidator and credspec.Admitter.
type Source struct {
	cfg    Config
	hosts  map[string]Host                // by host:port, as hostPort writes it
	secure map[string]*outbound.Connector // by CA file
	plain  *http.Transport
}

var (
	_ credspec.Revalidator = (*Source)(nil)
	_ credspec.Admitter    = (*Source)(nil)
)

// New returns the source. It asks nobody yet, and reads no file. It fails with
// fault.ErrMalformed where the configuration is wrong.
func New(cfg Config) (*Source, error) {
	s := &Source{
		cfg:    cfg,
		hosts:  make(map[string]Host, len(cfg.Hosts)),
		secure: make(map[string]*outbound.Connector),
		plain:  outbound.Loopback(),
	}
	if err := s.trust(cfg.CAFile); err != nil {
		return nil, err
	}
	for name, h := range cfg.Hosts {
		key, err := hostKey(name)
		if err != nil {
			return nil, fmt.Errorf("host %q: %w", name, err)
		}
		if _, twice := s.hosts[key]; twice {
			return nil, fmt.Errorf("host %q is given twice, in different spellings: %w", name, fault.ErrMalformed)
		}
		if h.CAFile == "" {
			h.CAFile = cfg.CAFile
		}
		s.hosts[key] = h
		if err := s.trust(h.CAFile); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// trust makes what connects to servers with certificates of a CA file.
func (s *Source) trust(caFile string) error {
	if s.secure[caFile] != nil {
		return nil
	}
	cfg := s.cfg.Config
	cfg.CAFile = caFile
	c, err := outbound.NewConnector(cfg)
	s.secure[caFile] = c
	return err
}

// CloseIdleConnections closes the connections that the source keeps for its
// next requests. Left alone, they close by themselves.
func (s *Source) CloseIdleConnections() {
	s.plain.CloseIdleConnections()
	for _, c := range s.secure {
		c.CloseIdleConnections()
	}
}

// Admit implements credspec.Admitter: it says what Resolve would refuse by the
// reference alone.
func (s *Source) Admit(ref credspec.Ref) error {
	_, err := s.target(ref)
	return err
}

// Resolve gets the document behind ref's URL.
func (s *Source) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	return s.get(ctx, ref, tag{})
}

// Revalidate is Resolve with the condition that the document is another one.
func (s *Source) Revalidate(ctx context.Context, ref credspec.Ref, text string) (credspec.Document, error) {
	t, _ := parseTag(text) // one that is not ours fits nothing
	return s.get(ctx, ref, t)
}
