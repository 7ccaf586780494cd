package agent

import (
	"context"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Choice is which secret an admission would use.
type Choice struct {
	Secret  secrets.Ref
	NetBIOS string // the domain's name that the secret may be of beside the DNS name; see [CheckDomain]
	Passed  string // why the document would pass as it is, without a secret; empty if there is one

	HostAccount bool // it would pass because the host's own account is used
}

// ChooseSecret finds the secret that an admission would use for a document of a
// container that names none itself. The error is the admission's.
func ChooseSecret(ctx context.Context, s *Settings, document credspec.Document, spec *credspec.Spec) (Choice, error) {
	m := &admission{settings: s, document: document, spec: spec}
	found, err := m.chooseSecret(ctx)
	c := Choice{Secret: m.secret, NetBIOS: m.netbios(), HostAccount: m.hostAccount}
	if err == nil && !found {
		c.Passed = m.record.Reason
	}
	return c, err
}
