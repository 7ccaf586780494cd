package azurekeyvault_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// TestATokenIsForWhatTheHostStandsFor: the SDK alone would take "https://net"
// for the audience of a token, because the vault's host ends in it.
func TestATokenIsForWhatTheHostStandsFor(t *testing.T) {
	const login = `Bearer authorization="https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47"`
	for challenge, kind := range map[string]error{
		login + `, resource="https://management.azure.com"`:                                 fault.ErrDenied,
		login + `, resource="https://azure.net"`:                                            fault.ErrDenied,
		login + `, resource="https://net"`:                                                  fault.ErrDenied,
		login + `, resource="https://vault.azure.cn"`:                                       fault.ErrDenied,
		login + `, resource="https://vault.azure.net:443"`:                                  fault.ErrDenied,
		login + `, resource="http://vault.azure.net"`:                                       fault.ErrDenied,
		login + `, resource="https://vault.azure.net/x"`:                                    fault.ErrDenied,
		login + `, resource="https://vault.azure.net", scope="https://graph.microsoft.com"`: fault.ErrDenied,
		login: fault.ErrDenied,
		`Bearer resource="https://vault.azure.net"`:                                  fault.ErrUnavailable,
		`Bearer authorization="https://x", resource="https://vault.azure.net"`:       fault.ErrUnavailable,
		`Bearer authorization="%zz", resource="https://vault.azure.net"`:             fault.ErrUnavailable,
		`Bearer authorization="x/../y", resource="https://vault.azure.net"`:          fault.ErrUnavailable,
		`Bearer error="insufficient_claims", claims="%"`:                             fault.ErrUnavailable,
		login + `, resource="https://vault.azure.net", resource="https://azure.net"`: fault.ErrDenied, // nothing that counts
		`Bearer `:           fault.ErrDenied,
		`Bearer resource="`: fault.ErrDenied,
		`Basic realm="x"`:   fault.ErrDenied,
		``:                  fault.ErrDenied,
	} {
		l := newLab(t)
		s := l.open(t, l.config())
		l.FailAlways(azuredouble.KeyVault, azuredouble.Challenge(challenge))
		refused(t, l, s, gmsa, kind, host)
		if n := l.asked(azuredouble.IMDS); n != 0 {
			t.Errorf("%s: IMDS was asked", challenge)
		}
	}
}

func TestChallengesThatAreMeantAreTaken(t *testing.T) {
	l := newLab(t)
	for _, format := range []string{
		`Bearer authorization="https://login.microsoftonline.com/%s", resource="https://vault.azure.net"`,
		`Bearer authorization="https://login.microsoftonline.com/%s" resource="https://vault.azure.net"`,
		`bearer authorization=https://login.windows.net/%s/, resource=https://vault.azure.net/`,
		`Bearer authorization="https://login.microsoftonline.com/%s/oauth2/authorize", scope="https://vault.azure.net/.default", error="invalid_token", error_description="it is, and = too"`,
	} {
		s := l.open(t, l.config())
		l.Fail(azuredouble.KeyVault, azuredouble.Challenge(fmt.Sprintf(format, l.Tenant)))
		expect(t, s, gmsa, password)
	}
}

// TestClaimsThatAVaultAsksForAreSentToEntraID is continuous access evaluation.
func TestClaimsThatAVaultAsksForAreSentToEntraID(t *testing.T) {
	l := newLab(t)
	_, cfg := l.workload(t)
	s := l.open(t, cfg)
	expect(t, s, gmsa, password)
	claims := base64.StdEncoding.EncodeToString([]byte(`{"access_token":{"nbf":{"essential":true,"value":"1751284800"}}}`))
	l.Fail(azuredouble.KeyVault, azuredouble.Challenge(`Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="insufficient_claims", claims="`+claims+`"`))
	expect(t, s, gmsa, password)
	asked := l.Requests(azuredouble.Entra)
	last := asked[len(asked)-1]
	if got := fmt.Sprint(last.Form["claims"]); !strings.Contains(got, "1751284800") {
		t.Errorf("Entra ID got the claims %s", got)
	}
}
