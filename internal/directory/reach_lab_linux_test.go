package directory

import (
	"testing"
	"time"
)

func TestADomainIsReachedWithoutALogon(t *testing.T) {
	l := startLab(t)
	c, err := New(configOf(l.Contoso), l.Contoso.DNSName)
	if err != nil {
		t.Fatal(err)
	}
	dc, err := c.FindController(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ahead, err := c.Clock(t.Context(), dc); err != nil || max(ahead, -ahead) > 30*time.Second {
		t.Errorf("clock: %v, %v", ahead, err)
	}
	if got, err := c.Transport(t.Context(), dc); err != nil || got != "LDAPS" {
		t.Errorf("transport: %q, %v", got, err)
	}
}
