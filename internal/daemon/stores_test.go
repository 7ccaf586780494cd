package daemon

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

func TestAStoreIsKeptUnlessItsSettingsChange(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*config.Config)
		want   []string
	}{
		"nothing":                {func(*config.Config) {}, nil},
		"another part":           {func(c *config.Config) { c.Adopt, c.Secrets.Serve = []string{"x"}, []config.Serve{{}} }, nil},
		"the cache":              {func(c *config.Config) { c.Secrets.Cache.TTL++ }, nil},
		"the local store":        {func(c *config.Config) { c.Secrets.Local.Dir = "/other" }, nil},
		"AWS":                    {func(c *config.Config) { c.AWS.Region = "eu-west-1" }, []string{"awssecretsmanager", "awsssm"}},
		"Azure Key Vault":        {func(c *config.Config) { c.Secrets.AzureKeyVault.Vaults = []string{"a.vault.azure.net"} }, []string{"azurekeyvault"}},
		"Google Secret Manager":  {func(c *config.Config) { c.Secrets.GCPSecretManager.Projects = []string{"p"} }, []string{"gcpsecretmanager"}},
		"the API server":         {func(c *config.Config) { c.Kubernetes.Context = "other" }, []string{"kubernetes"}},
		"Kubernetes' namespaces": {func(c *config.Config) { c.Secrets.Kubernetes.Namespaces = []string{"ns"} }, []string{"kubernetes"}},
		"Vault's paths":          {func(c *config.Config) { c.Secrets.Vault.Paths = []string{"kv/*"} }, []string{"vault"}},
		"Vault's login":          {func(c *config.Config) { c.Secrets.Vault.Auth.Role = "r" }, []string{"vault"}},
	} {
		before, after := config.Default(), config.Default()
		test.change(after)
		var changed []string
		for _, scheme := range secrets.Schemes() {
			if !reflect.DeepEqual(settingsOf(scheme, before), settingsOf(scheme, after)) {
				changed = append(changed, scheme)
			}
		}
		if diff := cmp.Diff(test.want, changed); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
