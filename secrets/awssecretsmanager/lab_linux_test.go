package awssecretsmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

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

func put(t *testing.T, l *awslab.Lab, s awslab.Secret) (arn, version string) {
	t.Helper()
	arn, version, err := l.PutSecret(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return arn, version
}

// written is a credential in one of the forms that secrets have.
func written(c *secrets.Credential, form string) awslab.Secret {
	password := string(c.Password.Bytes())
	text := c.Domain + `\` + c.User + ":" + password
	switch form {
	case "JSON":
		// As the rotation functions of AWS write it, with our domain beside it.
		b, err := json.Marshal(map[string]any{
			"engine": "sqlserver", "host": "db1.contoso.com", "port": 1433, "dbname": nil,
			"username": c.User, "password": password, "domainName": c.Domain,
		})
		if err != nil {
			panic(err) // of strings there is none
		}
		return awslab.Secret{Text: string(b)}
	case "a directory's JSON":
		b, err := json.Marshal(map[string]string{"DirectoryId": "d-12345abc6e", "Username": c.User, "Password": password, "DomainName": c.Domain})
		if err != nil {
			panic(err)
		}
		return awslab.Secret{Text: string(b)}
	case "binary":
		return awslab.Secret{Binary: []byte(text)}
	}
	return awslab.Secret{Text: text}
}

func TestStoreAgainstMoto(t *testing.T) {
	for _, form := range []string{"text", "JSON", "a directory's JSON", "binary"} {
		t.Run(form, func(t *testing.T) {
			secretstest.Run(t, func(t *testing.T) secretstest.Backend {
				l := startLab(t)
				name := func(n string) string { return strings.Map(letter, t.Name()) + "/" + n }
				return secretstest.Backend{
					Store: open(t, config(t, l.URL)),
					Ref:   func(n string) secrets.Ref { return ref(t, "awssecretsmanager://"+name(n)) },
					Put: func(n string, c *secrets.Credential) error {
						s := written(c, form)
						s.Name = name(n)
						_, _, err := l.PutSecret(t.Context(), s)
						return err
					},
					Remove: func(n string) error { return l.DeleteSecret(t.Context(), name(n), false) },
					Damage: func(n string) error {
						_, _, err := l.PutSecret(t.Context(), awslab.Secret{Name: name(n), Text: `{"password": "C4nary-of-the-damaged"`})
						return err
					},
				}
			})
		})
	}
}

// letter keeps what secrets' names may have.
func letter(r rune) rune {
	if r == '/' || r == '-' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return '_'
}

func TestNamesAndARNsLeadToTheSecretThatTheyName(t *testing.T) {
	l := startLab(t)
	s := open(t, config(t, l.URL))
	arn, version := put(t, l, awslab.Secret{Name: "named/contoso", Text: `contoso.com\svc:pw`})
	for _, text := range []string{
		"awssecretsmanager://named/contoso",
		"awssecretsmanager://named/contoso?region=" + region,
		"awssecretsmanager://named/contoso?version_id=" + version,
		"awssecretsmanager://named/contoso?version_stage=AWSCURRENT",
		arn,
		arn[:strings.LastIndexByte(arn, '-')],
		"awssecretsmanager://" + arn + "?version_id=" + version,
		`{"credentialArn":"` + arn + `"}`,
		`{"CredentialARN":"` + arn + `","regKeyPath":"HKEY_LOCAL_MACHINE\\System\\x"}`,
	} {
		c, err := s.Fetch(t.Context(), ref(t, text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if c.Domain != "contoso.com" || c.User != "svc" || string(c.Password.Bytes()) != "pw" || c.Version != version {
			t.Errorf("%s: %s\\%s, version %s", text, c.Domain, c.User, c.Version)
		}
	}
	for _, text := range []string{
		"awssecretsmanager://named",
		"awssecretsmanager://named/contoso?region=eu-north-1",
		"awssecretsmanager://named/contoso?version_stage=AWSPENDING",
		"awssecretsmanager://named/contoso?version_id=00000000-0000-0000-0000-000000000000",
		strings.Replace(arn, region, "eu-north-1", 1),
		arn[:strings.LastIndexByte(arn, '-')] + "-AAAAAA",
	} {
		if _, err := s.Fetch(t.Context(), ref(t, text)); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

func TestARotationIsFollowedStageByStage(t *testing.T) {
	l := startLab(t)
	s := open(t, config(t, l.URL))
	fetch := func(stage string) string {
		t.Helper()
		c, err := s.Fetch(t.Context(), ref(t, "awssecretsmanager://rotated?version_stage="+stage))
		if err != nil {
			return err.Error()
		}
		defer c.Wipe()
		return string(c.Password.Bytes())
	}
	put(t, l, awslab.Secret{Name: "rotated", Text: `contoso.com\svc:old`})
	put(t, l, awslab.Secret{Name: "rotated", Text: `contoso.com\svc:new`, Stages: []string{"AWSPENDING"}})
	if current, pending := fetch("AWSCURRENT"), fetch("AWSPENDING"); current != "old" || pending != "new" {
		t.Errorf("while it is tested: current %s, pending %s", current, pending)
	}
	put(t, l, awslab.Secret{Name: "rotated", Text: `contoso.com\svc:new`})
	if current, previous := fetch("AWSCURRENT"), fetch("AWSPREVIOUS"); current != "new" || previous != "old" {
		t.Errorf("afterwards: current %s, previous %s", current, previous)
	}
}

func TestASecretThatIsMarkedForDeletionIsNotThere(t *testing.T) {
	l := startLab(t)
	put(t, l, awslab.Secret{Name: "doomed", Text: `contoso.com\svc:canary`})
	if err := l.DeleteSecret(t.Context(), "doomed", true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.DeleteSecret(context.Background(), "doomed", false); err != nil {
			t.Error(err)
		}
	})
	_, err := open(t, config(t, l.URL)).Fetch(t.Context(), ref(t, "awssecretsmanager://doomed"))
	if !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), "marked for deletion") {
		t.Errorf("error %v", err)
	}
}
