package daemon

import (
	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/credspec/oci"
	"github.com/gmsa-agent/gmsa-agent/credspec/sources"
	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// Sources is what the configuration says of credential-spec sources, in their
// own words.
func Sources(cfg *config.Config) sources.Config {
	c := cfg.CredentialSpecs
	hosts := make(map[string]https.Host, len(c.HTTPS.Hosts))
	for name, h := range c.HTTPS.Hosts {
		hosts[name] = https.Host(h)
	}
	return sources.Config{
		Folders: c.Folders,
		Timeout: c.Timeout,
		HTTPS: https.Config{
			Config:          outbound.Config{CAFile: c.HTTPS.CAFile, Proxy: c.HTTPS.Proxy, AllowLinkLocal: bool(c.HTTPS.AllowLinkLocal)},
			Hosts:           hosts,
			RestrictToHosts: bool(c.HTTPS.RestrictToHosts),
		},
		OCI:        OCI(c.OCI),
		AWS:        AWS(cfg.AWS),
		Kubernetes: kubeclient.Config(cfg.Kubernetes),
	}
}

// OCI is how to connect to registries.
func OCI(c config.OCI) oci.Config {
	registries := make(map[string]oci.Registry, len(c.Registries))
	for name, r := range c.Registries {
		registries[name] = oci.Registry{CAFile: r.CAFile, Username: r.Username, PasswordFile: r.PasswordFile, PlainHTTP: bool(r.PlainHTTP)}
	}
	return oci.Config{AuthFile: c.AuthFile, Registries: registries, RestrictToRegistries: bool(c.RestrictToRegistries)}
}

// AWS is as whom to talk to AWS.
func AWS(c config.AWS) awsclient.Config {
	return awsclient.Config{
		Credentials: string(c.Credentials), Region: c.Region, Profile: c.Profile, ProfileFile: c.ProfileFile,
		RoleARN: c.RoleARN, TokenFile: c.TokenFile, CAFile: c.CAFile, Endpoints: c.Endpoints, PathStyle: bool(c.PathStyle),
	}
}
