package stores

import (
	"slices"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
)

// site is a host with containerd and every store that there can be, and the
// domains whose plugin users those hold.
type site struct {
	*host
	ad      *adlab.Lab
	servers map[string]server // by scheme
}

// startSite has each store hold the plugin users of both domains, as "contoso"
// and "fabrikam", and each folder of credential specs their gMSAs' with those
// names. The agent takes over the documents of the other plugins, and asks a
// store each time.
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
	var others []string
	for _, store := range s.servers {
		if d, ok := store.(dialect); ok && !slices.Contains(others, d.plugin()) {
			others = append(others, d.plugin())
		}
	}
	s.configure(map[string]any{
		"adopt": others,
		"secrets": map[string]any{
			"cache": map[string]any{"ttl": "0s"}, // what is put is there at once
			"serve": []any{
				map[string]any{"domain": "contoso.com", "secret": s.servers["azurekeyvault"].ref("contoso")},
				map[string]any{"domain": "fabrikam.com", "secret": s.servers["local"].ref("fabrikam")},
			},
		},
	})
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
