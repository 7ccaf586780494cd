// Package stores lists the secret stores that are built in. It is the only
// package that knows more than one of them.
package stores

import (
	"errors"

	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/awssecretsmanager"
	"github.com/gmsa-agent/gmsa-agent/secrets/awsssm"
	"github.com/gmsa-agent/gmsa-agent/secrets/azurekeyvault"
	"github.com/gmsa-agent/gmsa-agent/secrets/gcpsecretmanager"
	"github.com/gmsa-agent/gmsa-agent/secrets/kubernetes"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
	"github.com/gmsa-agent/gmsa-agent/secrets/vault"
)

// Config says how the built-in stores are set up. Its zero value works; the
// stores that need a server then say what they lack.
type Config struct {
	// LocalDir is the folder of the local store; empty for local.DefaultDir.
	LocalDir         string
	AzureKeyVault    azurekeyvault.Config
	Kubernetes       kubernetes.Config
	Vault            vault.Config
	AWS              awsclient.Config
	GCPSecretManager gcpsecretmanager.Config
}

// New opens the built-in stores. It asks no server yet.
func New(cfg Config) (*secrets.Mux, error) {
	dir := cfg.LocalDir
	if dir == "" {
		dir = local.DefaultDir()
	}
	all := map[string]secrets.Store{}
	var errs []error
	put := func(scheme string, s secrets.Store, err error) {
		all[scheme] = s
		errs = append(errs, err)
	}
	l, err := local.Open(dir)
	put(local.Scheme, l, err)
	a, err := azurekeyvault.New(cfg.AzureKeyVault)
	put(azurekeyvault.Scheme, a, err)
	k, err := kubernetes.New(cfg.Kubernetes)
	put(kubernetes.Scheme, k, err)
	v, err := vault.New(cfg.Vault)
	put(vault.Scheme, v, err)
	amazon, err := awsclient.New(cfg.AWS)
	put(awssecretsmanager.Scheme, awssecretsmanager.New(amazon), err)
	put(awsssm.Scheme, awsssm.New(amazon), nil)
	g, err := gcpsecretmanager.New(cfg.GCPSecretManager)
	put(gcpsecretmanager.Scheme, g, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return secrets.NewMux(all), nil
}
