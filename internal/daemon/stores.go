package daemon

import (
	"slices"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
	"github.com/gmsa-agent/gmsa-agent/secrets/awssecretsmanager"
	"github.com/gmsa-agent/gmsa-agent/secrets/awsssm"
	"github.com/gmsa-agent/gmsa-agent/secrets/azurekeyvault"
	"github.com/gmsa-agent/gmsa-agent/secrets/gcpsecretmanager"
	"github.com/gmsa-agent/gmsa-agent/secrets/kubernetes"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
	"github.com/gmsa-agent/gmsa-agent/secrets/stores"
	"github.com/gmsa-agent/gmsa-agent/secrets/vault"
)

// Stores is what the configuration says of secret stores, in their own words.
func Stores(cfg *config.Config) stores.Config {
	s := cfg.Secrets
	return stores.Config{
		LocalDir: s.Local.Dir,
		AzureKeyVault: azurekeyvault.Config{
			Vaults: s.AzureKeyVault.Vaults, Identity: string(s.AzureKeyVault.Identity), ID: s.AzureKeyVault.ID,
			TenantID: s.AzureKeyVault.TenantID, CertificateFile: s.AzureKeyVault.CertificateFile, TokenFile: s.AzureKeyVault.TokenFile,
		},
		Kubernetes: kubernetes.Config{Config: kubeclient.Config(cfg.Kubernetes), Namespaces: s.Kubernetes.Namespaces},
		Vault:      ofVault(s.Vault),
		AWS:        AWS(cfg.AWS),
		GCPSecretManager: gcpsecretmanager.Config{
			Projects: s.GCPSecretManager.Projects, Credentials: string(s.GCPSecretManager.Credentials),
			CredentialsFile: s.GCPSecretManager.CredentialsFile, Endpoint: s.GCPSecretManager.Endpoint, CAFile: s.GCPSecretManager.CAFile,
		},
	}
}

// settingsOf is all that the store of a scheme is set up with.
func settingsOf(scheme string, cfg *config.Config) any {
	s := cfg.Secrets
	switch scheme {
	case local.Scheme:
		return nil // it stays as it was when the agent was started
	case azurekeyvault.Scheme:
		return s.AzureKeyVault
	case kubernetes.Scheme:
		return []any{s.Kubernetes, cfg.Kubernetes}
	case vault.Scheme:
		return s.Vault
	case awssecretsmanager.Scheme, awsssm.Scheme:
		return cfg.AWS
	case gcpsecretmanager.Scheme:
		return s.GCPSecretManager
	}
	return cfg
}

func ofVault(v config.Vault) vault.Config {
	c := vault.Config{
		Address: v.Address, Namespace: v.Namespace, CAFile: v.CAFile,
		Auth: vault.Auth{
			Method: string(v.Auth.Method), Mount: v.Auth.Mount, Role: v.Auth.Role, TokenFile: v.Auth.TokenFile,
			RoleIDFile: v.Auth.RoleIDFile, SecretIDFile: v.Auth.SecretIDFile, CertFile: v.Auth.CertFile, KeyFile: v.Auth.KeyFile,
		},
	}
	if v.Paths != nil {
		c.Allowed = func(path string) bool {
			return slices.ContainsFunc(v.Paths, func(p string) bool { return config.Pattern(p).Match(path) })
		}
	}
	return c
}
