package lab

import (
	"crypto/tls"
	"sync"
	"time"
)

// Certificate is a kind of server certificate.
type Certificate int

// The kinds of certificates that a [Presenter] can show.
const (
	Good Certificate = iota
	Expired
	OtherHost
	Untrusted
)

// Presenter shows certificates for servers of any name.
type Presenter struct {
	*Authority

	mu     sync.Mutex
	kind   Certificate
	leaves map[string]*tls.Certificate // by name
}

// NewPresenter returns one with an authority of its own.
func NewPresenter(authority string) (*Presenter, error) {
	a, err := NewAuthority(authority)
	return &Presenter{Authority: a, leaves: map[string]*tls.Certificate{}}, err
}

// Present has it show another kind of certificate to new connections.
func (p *Presenter) Present(kind Certificate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kind = kind
	clear(p.leaves)
}

// GetCertificate is [tls.Config]'s: it makes the certificate for the name that
// a client asks for.
func (p *Presenter) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := hello.ServerName
	if leaf, ok := p.leaves[name]; ok {
		return leaf, nil
	}
	t, by := ServerTemplate([]string{name}), p.Authority
	switch p.kind {
	case Expired:
		t.NotBefore, t.NotAfter = time.Now().Add(-validity), time.Now().Add(-time.Hour)
	case OtherHost:
		t.DNSNames = []string{"other.example"}
	case Untrusted:
		var err error
		if by, err = NewAuthority("another CA"); err != nil {
			return nil, err
		}
	}
	leaf, err := by.Issue(t)
	if err != nil {
		return nil, err
	}
	p.leaves[name] = leaf
	return leaf, nil
}
