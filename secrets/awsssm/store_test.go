package awsssm_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/awsssm"
)

// region is the one that the tests' stores ask in.
const region = "eu-west-1"

// config is one with keys that anybody could have.
func config(t *testing.T, url string) awsclient.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id=AKIATEST\naws_secret_access_key=canary-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return awsclient.Config{Credentials: "profile", ProfileFile: file, Region: region, Endpoints: map[string]string{"ssm": url}}
}

func open(t *testing.T, cfg awsclient.Config) *awsssm.Store {
	t.Helper()
	client, err := awsclient.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return awsssm.New(client)
}

func ref(t *testing.T, text string) secrets.Ref {
	t.Helper()
	r, err := secrets.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
