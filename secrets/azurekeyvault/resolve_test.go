package azurekeyvault_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets/azurekeyvault"
)

// resolveBy has this process resolve names as the double does.
func resolveBy(t *testing.T, d *azuredouble.Double) {
	before := net.DefaultResolver
	net.DefaultResolver = d.Resolver()
	t.Cleanup(func() { net.DefaultResolver = before })
}

// TestAVaultsNameDoesNotLeadToAMetadataService: the store that users have
// connects to link-local addresses for IMDS only.
func TestAVaultsNameDoesNotLeadToAMetadataService(t *testing.T) {
	l := newLab(t)
	l.Resolve(host, netip.MustParseAddr("169.254.169.254"))
	resolveBy(t, l.Double)
	s, err := azurekeyvault.New(azurekeyvault.Config{Vaults: []string{host}})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, l, s, gmsa, fault.ErrDenied, "is a link-local address")
}
