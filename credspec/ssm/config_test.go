package ssm_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec/ssm"
)

// region is the one that the tests' sources ask in.
const region = "eu-west-1"

// config is one with keys that anybody could have.
func config(t *testing.T, url string) ssm.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id=AKIATEST\naws_secret_access_key=canary-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return ssm.Config{Credentials: "profile", ProfileFile: file, Region: region, Endpoints: map[string]string{"ssm": url}}
}

func source(t *testing.T, cfg ssm.Config) *ssm.Source {
	t.Helper()
	s, err := ssm.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
