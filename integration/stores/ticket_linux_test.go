package stores

import (
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// site is a host with containerd and every store that there can be, and the
// domains whose plugin users those hold.
type site struct {
	*host
	ad      *adlab.Lab
	servers map[string]server // by scheme
}

// startSite has each store hold the plugin users of both domains, as "contoso"
// and "fabrikam".
func startSite(t *testing.T) *site {
	t.Helper()
	s := &site{newHost(t), startDirectory(t), map[string]server{}}
	s.startContainerd()
	for name, d := range s.domains() {
		spec, err := d.CredentialSpec(t.Context(), adlab.GMSA)
		s.must(err)
		s.write(s.path("specs", name+".json"), string(spec))
	}
	for _, k := range kinds() {
		if err := k.ready(); err != nil {
			t.Logf("without %s://: %v", k.scheme, err)
			continue
		}
		s.servers[k.scheme] = s.start(k)
		for name, d := range s.domains() {
			s.servers[k.scheme].put(name, content(t, d.DNSName, d.Plugin.Name, d.Plugin.Password))
		}
	}
	s.startAgent()
	return s
}

func (s *site) domains() map[string]*adlab.Domain {
	return map[string]*adlab.Domain{"contoso": s.ad.Contoso, "fabrikam": s.ad.Fabrikam}
}

// each runs a test for each store of the site. Where there is none, that is
// said as a test's skip.
func (s *site) each(t *testing.T, f func(s *site, scheme string, store server)) {
	t.Helper()
	for _, k := range kinds() {
		t.Run(k.scheme, func(t *testing.T) {
			store, ok := s.servers[k.scheme]
			if !ok {
				t.Skip(k.ready())
			}
			f(s.in(t), k.scheme, store)
		})
	}
}

// in is the site in a test within the one that started it.
func (s *site) in(t *testing.T) *site {
	h := *s.host
	h.T = t
	return &site{&h, s.ad, s.servers}
}

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
