package agent

import (
	"context"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// ChooseSecret finds the secret that an admission would use for a credential
// spec of a container that names none itself. Without a secret the document
// would pass as it is, and passed says why; else the error is the admission's.
func ChooseSecret(ctx context.Context, s *Settings, spec *credspec.Spec) (ref secrets.Ref, passed string, err error) {
	m := &admission{facts: hook.Facts{}, settings: s, spec: spec}
	found, err := m.chooseSecret(ctx)
	if err != nil || found {
		return m.secret, "", err
	}
	return secrets.Ref{}, m.record.Reason, nil
}
