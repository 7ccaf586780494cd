package stores

import (
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// naming is a domain's credential spec as it is written for a plugin.
func (s *site) naming(d *adlab.Domain, guid, input string) []byte {
	s.Helper()
	spec, err := d.CredentialSpec(s.Context(), adlab.GMSA)
	s.must(err)
	spec, err = credspec.SetHostAccountConfig(spec, credspec.HostAccountConfig{PortableCcgVersion: "1", PluginGUID: guid, PluginInput: input})
	s.must(err)
	return spec
}

// otherPlugins has documents as they are written for Azure's, Rancher's and
// Amazon's plugins.
func (s *site) otherPlugins(t *testing.T) {
	s.each(t, func(s *site, scheme string, store server) {
		d, ok := store.(dialect)
		if !ok {
			s.Skip("no other plugin has this store")
		}
		for name, guid := range map[string]string{"with-our-GUID": credspec.PluginGUID, "unchanged": d.plugin()} {
			file := scheme + "-" + name + ".json"
			s.write(s.path("specs", file), string(s.naming(s.ad.Contoso, guid, d.input("contoso"))))
			id := scheme + "-" + guid[1:9]
			s.mustBecome(s.ad, s.ad.Contoso, s.run(container{id: id, spec: "file://" + file}))
			if r := s.recorded(audit.RedeemReleased, id); r.Version == "" {
				s.Errorf("%s: the trail says %+v", name, r)
			}
		}
	})
}
