package awsssm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// moto is the lab's, started by the first test that needs it and stopped after
// the last one.
var moto struct {
	sync.Once
	lab *awslab.Lab
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if moto.lab != nil {
		if err := moto.lab.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func startLab(t *testing.T) *awslab.Lab {
	t.Helper()
	if err := awslab.Ready(); err != nil {
		t.Skip(err)
	}
	moto.Do(func() { moto.lab, moto.err = awslab.Start(context.Background(), lab.Report(t)) })
	if moto.err != nil {
		t.Fatal(moto.err)
	}
	return moto.lab
}

func put(t *testing.T, l *awslab.Lab, p awslab.Parameter) {
	t.Helper()
	if err := l.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// arnOf has the hierarchy's slash in it.
const arnOf = "arn:aws:ssm:" + awslab.Region + ":" + awslab.AccountID + ":parameter"

func TestStoreAgainstMoto(t *testing.T) {
	for form, prefix := range map[string]string{"name": "awsssm://", "arn": arnOf} {
		t.Run(form, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) secretstest.Backend {
				l := startLab(t)
				name := func(n string) string { return "/" + strings.Map(letter, t.Name()) + "/" + n }
				return secretstest.Backend{
					Store: open(t, config(t, l.URL)),
					Ref:   func(n string) secrets.Ref { return ref(t, prefix+name(n)) },
					Put: func(n string, c *secrets.Credential) error {
						return l.Put(t.Context(), awslab.Parameter{Name: name(n), Value: c.Domain + `\` + c.User + ":" + string(c.Password.Bytes())})
					},
					Remove: func(n string) error { return l.Delete(t.Context(), name(n)) },
					Damage: func(n string) error {
						return l.Put(t.Context(), awslab.Parameter{Name: name(n), Value: `{"password": "C4nary-of-the-damaged"`})
					},
				}
			})
		})
	}
}

// letter keeps what parameters' names may have.
func letter(r rune) rune {
	if r == '/' || r == '-' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return '_'
}

func TestNamesLeadToTheParametersThatTheyName(t *testing.T) {
	l := startLab(t)
	s := open(t, config(t, l.URL))
	put(t, l, awslab.Parameter{Name: "contoso", Value: `contoso.com\plain:pw`})
	put(t, l, awslab.Parameter{Name: "/rooted", Value: `contoso.com\rooted:pw`})
	put(t, l, awslab.Parameter{Name: "/gmsa/contoso", Value: `{"username": "deep", "password": "pw", "domainName": "contoso.com", "port": 1}`})
	for text, user := range map[string]string{
		"awsssm://contoso":                               "plain",
		"awsssm:///rooted":                               "rooted",
		"awsssm://gmsa/contoso":                          "deep",
		"awsssm:///gmsa/contoso":                         "deep",
		"awsssm:///gmsa/contoso?region=" + region:        "deep",
		arnOf + "/gmsa/contoso":                          "deep",
		`{"credentialArn":"` + arnOf + `/gmsa/contoso"}`: "deep",
	} {
		c, err := s.Fetch(t.Context(), ref(t, text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if c.Domain != "contoso.com" || c.User != user || string(c.Password.Bytes()) != "pw" || !strings.Contains(c.Version, "@") {
			t.Errorf("%s: %s\\%s, version %s", text, c.Domain, c.User, c.Version)
		}
	}
	for _, text := range []string{
		"awsssm:///contoso",
		"awsssm://rooted",
		"awsssm://gmsa",
		"awsssm://gmsa/contoso?region=eu-north-1",
		strings.Replace(arnOf, region, "eu-north-1", 1) + "/gmsa/contoso",
	} {
		if _, err := s.Fetch(t.Context(), ref(t, text)); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

func TestOnlyASecureStringIsASecret(t *testing.T) {
	l := startLab(t)
	for _, kind := range []types.ParameterType{types.ParameterTypeString, types.ParameterTypeStringList} {
		put(t, l, awslab.Parameter{Name: "open-" + string(kind), Value: `contoso.com\svc:canary`, Type: kind})
		_, err := open(t, config(t, l.URL)).Fetch(t.Context(), ref(t, "awsssm://open-"+string(kind)))
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), "it is a "+string(kind)+",") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v", kind, err)
		}
	}
}

func TestAParameterThatIsMadeAgainHasAnotherVersion(t *testing.T) {
	l := startLab(t)
	s := open(t, config(t, l.URL))
	version := func(password string) string {
		t.Helper()
		put(t, l, awslab.Parameter{Name: "again", Value: `contoso.com\svc:` + password})
		c, err := s.Fetch(t.Context(), ref(t, "awsssm://again"))
		if err != nil || string(c.Password.Bytes()) != password {
			t.Fatalf("fetched %v, %v", c, err)
		}
		return c.Version
	}
	first := version("1")
	if err := l.Delete(t.Context(), "again"); err != nil {
		t.Fatal(err)
	}
	if again := version("2"); again == first || !strings.HasPrefix(again, "1@") {
		t.Errorf("version %s after %s", again, first)
	}
}
