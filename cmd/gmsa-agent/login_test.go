package main

import (
	"errors"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

func TestADomainIsAskedAsAUserOfItsOwn(t *testing.T) {
	inSecret := func(name, domain string) fetched {
		return fetched{secrets.Ref{Scheme: "local", Rest: name}, &secrets.Credential{Domain: domain, User: "in-" + name}}
	}
	tickets := func(user, realm string) *directory.CredentialCache {
		return &directory.CredentialCache{Principal: user + "@" + realm, Realm: realm}
	}
	other := inSecret("other", "contoso.com")
	for name, tt := range map[string]struct {
		login           login
		domain, netbios string
		other           *fetched
		user            string // empty: nobody
	}{
		"the user of the flag":      {login{only: "contoso.com", user: "alice", credentials: []fetched{inSecret("c", "contoso.com")}}, "Contoso.com", "", nil, "alice"},
		"who is of one domain only": {login{only: "contoso.com", user: "alice", credentials: []fetched{inSecret("f", "fabrikam.com")}}, "fabrikam.com", "", nil, "in-f"},
		"or of all":                 {login{user: "alice"}, "fabrikam.com", "", nil, "alice"},
		"the secret of the domain":  {login{credentials: []fetched{inSecret("f", "fabrikam.com"), inSecret("c", "contoso.com")}}, "contoso.com", "", &other, "in-c"},
		"by its NetBIOS name":       {login{credentials: []fetched{inSecret("f", "FABRIKAM"), inSecret("c", "CONTOSO")}}, "contoso.com", "Contoso", nil, "in-c"},
		"by a name that is like it, while that is not known":  {login{only: "contoso.com", credentials: []fetched{inSecret("c", "CONTOSO"), inSecret("f", "FABRIKAM")}}, "fabrikam.com", "", nil, "in-f"},
		"by any that is alone, for the domain that was typed": {login{only: "contoso.com", credentials: []fetched{inSecret("o", "OLDNAME")}}, "contoso.com", "", nil, "in-o"},
		"but not for another":                                 {login{only: "contoso.com", credentials: []fetched{inSecret("c", "CONTOSO")}}, "fabrikam.com", "", nil, ""},
		"nor for a domain that a document names":              {login{credentials: []fetched{inSecret("c", "CONTOSO")}}, "contoso.example.com", "", nil, ""},
		"tickets of the realm":                                {login{caches: []*directory.CredentialCache{tickets("f", "FABRIKAM.COM"), tickets("c", "CONTOSO.COM")}}, "contoso.com", "", &other, "c"},
		"the plugin user":                                     {login{caches: []*directory.CredentialCache{tickets("f", "FABRIKAM.COM")}, standing: tickets("s", "CONTOSO.COM")}, "contoso.com", "", &other, "in-other"},
		"tickets that are there":                              {login{standing: tickets("s", "CONTOSO.COM")}, "contoso.com", "", nil, "s"},
		"but not those of another realm":                      {login{standing: tickets("s", "FABRIKAM.COM")}, "contoso.com", "", nil, ""},
		"nor a secret of another domain":                      {login{credentials: []fetched{inSecret("f", "fabrikam.com")}}, "contoso.com", "", nil, ""},
		"nor of another domain's NetBIOS name":                {login{credentials: []fetched{inSecret("f", "FABRIKAM")}}, "contoso.com", "CONTOSO", nil, ""},
	} {
		ask, err := tt.login.asker(tt.domain, tt.netbios, tt.other)
		if tt.user == "" {
			if nobody := (*nobodyToAsk)(nil); !errors.As(err, &nobody) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || ask.user != tt.user {
			t.Errorf("%s: %+v, %v", name, ask, err)
		}
	}
}

func TestFlagsSayHowTheirDomainIsReached(t *testing.T) {
	l := &login{
		only: "contoso.com", network: config.Domain{Controllers: []string{"dc9"}, CAFile: "flag.pem"},
		cfg: &config.Config{Directory: config.Directory{Domains: map[string]config.Domain{
			"contoso.com":  {DNS: []string{"10.0.0.1"}, Controllers: []string{"dc1"}},
			"fabrikam.com": {CAFile: "configured.pem"},
		}}},
	}
	if got := l.reach("Contoso.com"); got.DNS[0] != "10.0.0.1" || got.Controllers[0] != "dc9" || got.CAFile != "flag.pem" {
		t.Errorf("%+v", got)
	}
	if got := l.reach("fabrikam.com"); got.Controllers != nil || got.CAFile != "configured.pem" {
		t.Errorf("%+v", got)
	}
}
