package gcpsecretmanager_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/gcpsecretmanager"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func TestStoreConforms(t *testing.T) {
	for name, in := range map[string]string{"global": "", "regional": "locations/europe-west3/"} {
		t.Run(name, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) secretstest.Backend {
				l := newLab(t)
				return secretstest.Backend{
					Store: l.open(t, l.config()),
					Ref: func(name string) secrets.Ref {
						return ref(t, "gcpsecretmanager://projects/contoso-prod/"+in+"secrets/"+name)
					},
					Put: func(name string, c *secrets.Credential) error {
						l.project.Add(in+"secrets/"+name, fmt.Appendf(nil, "%s\\%s:%s", c.Domain, c.User, c.Password.Bytes()))
						return nil
					},
					Remove: func(name string) error { l.project.Delete(in + "secrets/" + name); return nil },
					Damage: func(name string) error {
						l.project.Add(in+"secrets/"+name, []byte("C4nary-of-the-damaged"))
						return nil
					},
				}
			})
		})
	}
}

func TestTheVersionIsTheOneThatWasRead(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.project.Add("secrets/gmsa", content("svc-gmsa", "second"))
	l.project.Add("secrets/gmsa", content("svc-gmsa", "third"))
	l.project.Alias("secrets/gmsa", "prod", "2")
	for suffix, want := range map[string][2]string{
		"": {"3", "third"}, "/versions/latest": {"3", "third"}, "/versions/1": {"1", password}, "/versions/02": {"2", "second"}, "/versions/prod": {"2", "second"},
	} {
		if c := expect(t, s, gmsa+suffix, want[1]); c.Version != want[0] {
			t.Errorf("%q: version %q, want %q", suffix, c.Version, want[0])
		}
	}
	refused(t, l, s, gmsa+"/versions/9", fault.ErrNotFound, host)
	refused(t, l, s, gmsa+"/versions/nosuch", fault.ErrNotFound, host)
}

func TestAProjectsNumberIsAnotherNameThanItsID(t *testing.T) {
	l := newLab(t)
	byNumber := "gcpsecretmanager://projects/" + l.project.Number + "/secrets/gmsa"
	refused(t, l, l.open(t, l.config()), byNumber, fault.ErrDenied, "project "+l.project.Number+" is not among secrets.gcpsecretmanager.projects")
	cfg := l.config()
	cfg.Projects = []string{l.project.Number}
	s := l.open(t, cfg)
	expect(t, s, byNumber, password)
	refused(t, l, s, gmsa, fault.ErrDenied, "project contoso-prod is not among")
}

func TestASecretThatIsRotatedBetweenTwoReadsIsTheNewOne(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	old := expect(t, s, gmsa, password)
	l.project.Add("secrets/gmsa", content("svc-gmsa", "rotated"))
	if c := expect(t, s, gmsa, "rotated"); c.Version == old.Version {
		t.Error("the version is still the old one")
	}
}

func TestAProjectThatIsNotListedIsRefusedBeforeAnythingIsSent(t *testing.T) {
	for name, projects := range map[string][]string{"none listed": nil, "another listed": {"fabrikam-prod"}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			_, cfg := l.keyed(t)
			cfg.Projects = projects
			s := l.open(t, cfg)
			refused(t, l, s, gmsa, fault.ErrDenied, "secrets.gcpsecretmanager.projects")
			refused(t, l, s, "gcpsecretmanager://projects/contoso-prod/locations/europe-west3/secrets/gmsa", fault.ErrDenied, "secrets.gcpsecretmanager.projects")
			if n := l.Requested(); n != 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestARegionalSecretIsAskedForAtItsRegion(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	l.project.Add("locations/us-central1/secrets/gmsa", content("svc-gmsa", "regional"))
	const regional = "gcpsecretmanager://projects/contoso-prod/locations/us-central1/secrets/gmsa"
	if c := expect(t, s, regional, "regional"); c.Version != "1" {
		t.Errorf("version %q", c.Version)
	}
	asked := l.Requests(gcpdouble.SecretManager)
	if len(asked) != 1 || asked[0].Host != "secretmanager.us-central1.rep.googleapis.com" {
		t.Errorf("asked %+v", asked)
	}
	refused(t, l, s, "gcpsecretmanager://projects/contoso-prod/locations/mars-east1/secrets/gmsa", fault.ErrUnavailable, "secretmanager.mars-east1.rep.googleapis.com", "no address for")
	for _, location := range []string{"EVIL", "a_b", "-x"} {
		refused(t, l, s, "gcpsecretmanager://projects/contoso-prod/locations/"+location+"/secrets/gmsa", fault.ErrMalformed, "location")
	}
}

func TestAnEndpointOfOnesOwnIsAskedWithItsOwnCA(t *testing.T) {
	l := newLab(t)
	l.project.Add("locations/us-central1/secrets/gmsa", content("svc-gmsa", "regional"))
	cfg := l.config()
	cfg.Endpoint, cfg.CAFile = "secretmanager.us-central1.rep.googleapis.com:443", write(t, "ca.pem", string(l.CertificatePEM()))
	s := l.open(t, cfg)
	expect(t, s, "gcpsecretmanager://projects/contoso-prod/locations/us-central1/secrets/gmsa", "regional")
	refused(t, l, s, gmsa, fault.ErrMalformed, cfg.Endpoint, "INVALID_ARGUMENT") // the region knows no global ones
	cfg.CAFile = write(t, "ca.pem", "none")
	if _, err := gcpsecretmanager.NewVia(cfg, l.Dial, l.Roots()); err == nil {
		t.Error("a CA file without certificates is accepted")
	}
}

func TestAConfigurationThatCannotBeMeantIsRefused(t *testing.T) {
	for name, cfg := range map[string]gcpsecretmanager.Config{
		"no project's name":                {Projects: []string{"contoso-prod/secrets/x"}},
		"a path":                           {Projects: []string{"../x"}},
		"no name at all":                   {Projects: []string{""}},
		"unknown credentials":              {Credentials: "adc"},
		"a key without a file":             {Credentials: "key_file"},
		"a workload without a file":        {Credentials: "workload_identity"},
		"an endpoint with a scheme":        {Endpoint: "https://x.example"},
		"an endpoint with a path":          {Endpoint: "x.example/y"},
		"an endpoint with a user":          {Endpoint: "u@x.example"},
		"an endpoint with another port":    {Endpoint: "x.example:99999"},
		"an endpoint that is metadata's":   {Endpoint: "169.254.169.254"},
		"metadata's in another spelling":   {Endpoint: "2852039166"},
		"an endpoint that is no server's":  {Endpoint: "0.0.0.0:443"},
		"an endpoint that is only a port":  {Endpoint: ":443"},
		"an endpoint with a query at last": {Endpoint: "x.example?y"},
	} {
		if _, err := gcpsecretmanager.New(cfg); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheStoreThatIsClosedCanStillBeUsed(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	expect(t, s, gmsa, password)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, s, gmsa, password)
}
