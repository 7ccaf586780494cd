package stores

import (
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// TestFromAContainerToATicket goes the whole way, on one host: its start takes
// longer than all of the rest.
func TestFromAContainerToATicket(t *testing.T) {
	s := startSite(t)
	for name, f := range map[string]func(*site, *testing.T){
		"every store leads to the gMSA":                           (*site).everyStore,
		"two domains are served from two stores at once":          (*site).twoDomains,
		"a document for another plugin leads to the gMSA":         (*site).otherPlugins,
		"a credential spec cannot obtain another domain's secret": (*site).otherDomains,
	} {
		t.Run(name, func(t *testing.T) { f(s, t) })
	}
}

func (s *site) everyStore(t *testing.T) {
	s.each(t, func(s *site, scheme string, store server) {
		c := container{id: "ticket-" + scheme, spec: "file://contoso.json", secret: store.ref("contoso")}
		document := s.run(c)
		s.mustBecome(s.ad, s.ad.Contoso, document)
		granted, released := s.recorded(audit.AdmitGranted, c.id), s.recorded(audit.RedeemReleased, c.id)
		if granted.Secret != store.ref("contoso") || released.Secret != granted.Secret || released.Grant != granted.Grant || released.Version == "" {
			s.Errorf("the trail says %+v and %+v", granted, released)
		}
	})
}
