package stores

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func (s *site) twoDomains(t *testing.T) {
	pair := func(name, contoso, fabrikam string) {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			a, b := container{"a-" + name, "file://contoso.json", contoso}, container{"b-" + name, "file://fabrikam.json", fabrikam}
			documents := map[*adlab.Domain]chan []byte{s.ad.Contoso: make(chan []byte, 1), s.ad.Fabrikam: make(chan []byte, 1)}
			failed := make(chan error, 2)
			for d, c := range map[*adlab.Domain]container{s.ad.Contoso: a, s.ad.Fabrikam: b} {
				go func() {
					document, err := s.tryRun(c)
					failed <- err
					documents[d] <- document
				}()
			}
			s.must(errors.Join(<-failed, <-failed))
			for d, document := range documents {
				s.mustBecome(s.ad, d, <-document)
			}
		})
	}
	pair("as-configured", "", "")
	schemes := slices.Sorted(maps.Keys(s.servers))
	for i, from := range schemes {
		to := schemes[(i+1)%len(schemes)]
		pair(from+"-"+to, s.servers[from].ref("contoso"), s.servers[to].ref("fabrikam"))
	}
}

// thieves are containers with a credential spec of contoso.com that ask for the
// plugin user of fabrikam.com, each in another way.
func (s *site) thieves(store server) map[string]container {
	ref := store.ref("fabrikam")
	scheme, rest, _ := strings.Cut(ref, "://")
	found := map[string]container{
		"the container's annotation":       {secret: ref, spec: "file://contoso.json"},
		"another spelling of the scheme":   {secret: " " + strings.ToUpper(scheme) + "://" + rest + " ", spec: "file://contoso.json"},
		"the document":                     {spec: s.raw(credspec.PluginGUID, ref, nil)},
		"a document with its NetBIOS name": {spec: s.raw(credspec.PluginGUID, store.ref("netbios"), strings.NewReplacer(`"CONTOSO"`, `"FABRIKAM"`))},
		"a document with its DNS name":     {spec: s.raw(credspec.PluginGUID, ref, strings.NewReplacer(`"CONTOSO"`, `"fabrikam.com"`))},
	}
	if d, ok := store.(dialect); ok {
		found["the dialect in the annotation"] = container{secret: d.input("fabrikam"), spec: "file://contoso.json"}
		found["the dialect in a document for us"] = container{spec: s.raw(credspec.PluginGUID, d.input("fabrikam"), nil)}
		found["the dialect in a document for the other plugin"] = container{spec: s.raw(d.plugin(), d.input("fabrikam"), nil)}
	}
	return found
}

// raw is contoso.com's credential spec, with a plugin and changed, as a
// container brings it along.
func (s *site) raw(guid, input string, changes *strings.Replacer) string {
	s.Helper()
	text := string(s.naming(s.ad.Contoso, guid, input))
	if changes != nil {
		text = changes.Replace(text)
	}
	return "raw://" + text
}

func (s *site) otherDomains(t *testing.T) {
	s.each(t, func(s *site, scheme string, store server) {
		d := s.ad.Fabrikam
		store.put("netbios", content(t, d.NetBIOS, d.Plugin.Name, d.Plugin.Password))
		for spelling, c := range s.thieves(store) {
			c.id = scheme + "-" + strings.ReplaceAll(spelling, " ", "-")
			_, err := s.admit(c)
			if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "domain") {
				s.Errorf("%s: %v, want that it is of another domain", spelling, err)
				continue
			}
			if r := s.recorded(audit.AdmitRefused, c.id); r.Reason == "" || r.Domain != "contoso.com" || !strings.HasPrefix(r.Secret, scheme+"://") {
				s.Errorf("%s: the trail says %+v", spelling, r)
			}
		}

		// Nor one that takes the place of its own after the admission.
		c := s.ad.Contoso
		store.put("changing", content(t, c.DNSName, c.Plugin.Name, c.Plugin.Password))
		later := container{"later-" + scheme, "file://contoso.json", store.ref("changing")}
		document, err := s.admit(later)
		s.must(err)
		store.put("changing", content(t, d.DNSName, d.Plugin.Name, d.Plugin.Password))
		if release, err := s.redeem(document); !errors.Is(err, fault.ErrDenied) || len(release.Password) > 0 {
			s.Errorf("after the admission: %v", err)
		}
		if r := s.recorded(audit.RedeemRefused, later.id); r.Reason == "" || r.Secret != later.secret {
			s.Errorf("after the admission: the trail says %+v", r)
		}
		if released := s.records(audit.RedeemReleased, later.id); len(released) > 0 {
			s.Errorf("after the admission: released: %+v", released)
		}
	})
}
