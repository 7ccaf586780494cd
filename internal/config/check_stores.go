package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// storeSchemes are those of the secret stores, as package secrets has them.
var storeSchemes = []string{"awssecretsmanager", "awsssm", "azurekeyvault", "gcpsecretmanager", "kubernetes", "local", "vault"}

// stores checks the settings of the secret stores, and brings hosts' names
// into lower case.
func (d *decoder) stores(s *Secrets) {
	const cache = "secrets.cache"
	d.lifetime(cache, s.Cache.TTL, s.Cache.Stale)
	for _, scheme := range slices.Sorted(maps.Keys(s.Cache.Stores)) {
		key := child(cache+".stores", scheme)
		if !slices.Contains(storeSchemes, scheme) {
			d.wrong(key, "is no store: known are %s", strings.Join(storeSchemes, ", "))
			continue
		}
		of := s.Cache.Of(scheme)
		d.lifetime(key, of.TTL, of.Stale)
	}

	const azure = "secrets.azurekeyvault"
	a := &s.AzureKeyVault
	for i, host := range a.Vaults {
		key := fmt.Sprintf("%s.vaults[%d]", azure, i)
		if hostOf(host) == "" || !strings.Contains(host, ".") {
			d.wrong(key, "%q is not a vault's host, such as contoso.vault.azure.net", host)
		}
		a.Vaults[i] = strings.ToLower(host)
	}
	d.optionalPath(azure+".certificate_file", a.CertificateFile)
	d.optionalPath(azure+".token_file", a.TokenFile)

	d.allGiven("secrets.kubernetes.namespaces", s.Kubernetes.Namespaces)

	const vault = "secrets.vault"
	v := s.Vault
	if v.Address != "" {
		d.url(vault+".address", v.Address)
	}
	d.optionalPath(vault+".ca_file", v.CAFile)
	d.allGiven(vault+".paths", v.Paths)
	for key, path := range map[string]string{
		"token_file": v.Auth.TokenFile, "role_id_file": v.Auth.RoleIDFile, "secret_id_file": v.Auth.SecretIDFile,
		"cert_file": v.Auth.CertFile, "key_file": v.Auth.KeyFile,
	} {
		d.optionalPath(vault+".auth."+key, path)
	}

	const gcp = "secrets.gcpsecretmanager"
	d.allGiven(gcp+".projects", s.GCPSecretManager.Projects)
	d.optionalPath(gcp+".credentials_file", s.GCPSecretManager.CredentialsFile)
	d.optionalPath(gcp+".ca_file", s.GCPSecretManager.CAFile)
	if e := s.GCPSecretManager.Endpoint; e != "" && hostOf(e) == "" {
		d.wrong(gcp+".endpoint", "%q is not a host, or host:port", e)
	}
}

func (d *decoder) lifetime(key string, ttl, stale time.Duration) {
	if ttl < 0 || ttl > maxCacheTTL {
		d.wrong(key+".ttl", "must be 0s to 24h")
	}
	if stale < 0 || stale > maxStaleTime {
		d.wrong(key+".stale", "must be 0s to 168h")
	}
}

// Times are how long a secret is used.
type Times struct{ TTL, Stale time.Duration }

// Of says how long a secret of the store with that scheme is used.
func (c Cache) Of(scheme string) Times {
	t := Times{c.TTL, c.Stale}
	own := c.Stores[scheme]
	if own.TTL != nil {
		t.TTL = *own.TTL
	}
	if own.Stale != nil {
		t.Stale = *own.Stale
	}
	return t
}
