package gcpdouble

import "github.com/gmsa-agent/gmsa-agent/integration/lab"

// Certificate is a kind of server certificate.
type Certificate = lab.Certificate

// The kinds of certificates that the double's servers can show.
const (
	Good      = lab.Good
	Expired   = lab.Expired
	OtherHost = lab.OtherHost
	Untrusted = lab.Untrusted
)

// Present has the servers show another kind of certificate to new connections.
func (d *Double) Present(kind Certificate) { d.certificates.Present(kind) }
