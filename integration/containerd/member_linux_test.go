package containerd

import (
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// member is a host that is a domain member, with what its policy says of its own
// account.
func member(policy string) string {
	return onlyWrapper + "\ndomain_joined: true\npolicy: {host_account: " + policy + "}"
}

// passed checks that a container's bundle has the credential spec as it stands
// in its file, byte for byte, and that the agent keeps nothing for it.
func (h *host) passed(id string) {
	h.t.Helper()
	asked, err := bundle.Read(h.configJSON(id))
	h.must(err)
	if asked.CredentialSpec != spec {
		h.t.Errorf("%s has the document %q", id, asked.CredentialSpec)
	}
	if r := h.recorded(audit.AdmitPassed, id); r.Grant != "" || r.Secret != "" || r.Account != "webapp01" || !strings.Contains(r.Reason, "domain member") {
		h.t.Errorf("audit: %+v", r)
	}
	h.granted()
}

func (h *host) forgetSecret() {
	h.t.Helper()
	if out, err := h.command("secret", "remove", "contoso").CombinedOutput(); err != nil {
		h.t.Fatalf("secret remove: %v: %s", err, out)
	}
}

func TestOnADomainMemberADocumentWithoutAPluginArrivesUnchanged(t *testing.T) {
	h := newHost(t, member("allow"))
	h.forgetSecret()
	h.startAgent()
	h.run(h.asking("web", "file://webapp01.json"))
	h.passed("web")
}

func TestADomainMemberPrefersASecretUnlessThePolicySaysOtherwise(t *testing.T) {
	h := newHost(t, member("allow"))
	h.startAgent()
	h.run(h.asking("web", "file://webapp01.json"))
	h.admitted("web")
	h.granted("web")
}

func TestWhereTheHostsOwnAccountIsRequiredNoSecretIsUsed(t *testing.T) {
	h := newHost(t, member("require"))
	h.startAgent()
	h.run(h.asking("web", "file://webapp01.json"))
	h.passed("web")
}

func TestWhereTheHostsOwnAccountIsForbiddenAContainerWithoutASecretDoesNotStart(t *testing.T) {
	h := newHost(t, member("forbid"))
	h.forgetSecret()
	h.startAgent()
	err := h.Run(t.Context(), h.asking("web", "file://webapp01.json"))
	if err == nil {
		t.Fatal("it started")
	}
	for _, want := range []string{"no secret serves the domain contoso.com", "policy.host_account forbids the host's own account"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if r := h.recorded(audit.AdmitRefused, "web"); !strings.Contains(r.Reason, "policy.host_account") {
		t.Errorf("audit: %+v", r)
	}
}
