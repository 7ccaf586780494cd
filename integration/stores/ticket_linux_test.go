package stores

import (
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

func TestEveryStoreLeadsFromAContainerToATicketOfItsGMSA(t *testing.T) {
	startSite(t).each(t, func(s *site, scheme string, store server) {
		c := container{id: "ticket-" + scheme, spec: "file://contoso.json", secret: store.ref("contoso")}
		document := s.run(c)
		s.mustBecome(s.ad, s.ad.Contoso, document)
		granted, released := s.recorded(audit.AdmitGranted, c.id), s.recorded(audit.RedeemReleased, c.id)
		if granted.Secret != store.ref("contoso") || released.Secret != granted.Secret || released.Grant != granted.Grant || released.Version == "" {
			s.Errorf("the trail says %+v and %+v", granted, released)
		}
	})
}
