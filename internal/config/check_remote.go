package config

import (
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The bounds of the settings of remote sources.
const (
	maxTimeout = 2 * time.Minute // longer than runtimes wait for a container's start
	maxFresh   = time.Hour       // a document that is taken back must not be served for a day
	maxStale   = 30 * 24 * time.Hour
)

// remote checks the settings of sources that are not on this host, and brings
// hosts' names into lower case.
func (d *decoder) remote(c *CredentialSpecs) {
	if c.Timeout <= 0 || c.Timeout > maxTimeout {
		d.wrong("credential_specs.timeout", "must be more than 0s and at most 2m")
	}
	const cache = "credential_specs.cache"
	d.absolute(cache+".dir", c.Cache.Dir)
	if c.Cache.Fresh < 0 || c.Cache.Fresh > maxFresh {
		d.wrong(cache+".fresh", "must be 0s to 1h")
	}
	if c.Cache.Stale < 0 || c.Cache.Stale > maxStale {
		d.wrong(cache+".stale", "must be 0s to 720h")
	}
	const https = "credential_specs.https"
	d.optionalPath(https+".ca_file", c.HTTPS.CAFile)
	if c.HTTPS.Proxy != "" {
		d.url(https+".proxy", c.HTTPS.Proxy)
	}
	c.HTTPS.Hosts = byHost(d, https+".hosts", c.HTTPS.Hosts, func(key, _ string, h HTTPSHost) {
		d.optionalPath(key+".ca_file", h.CAFile)
		d.optionalPath(key+".token_file", h.TokenFile)
	})
	const oci = "credential_specs.oci"
	d.optionalPath(oci+".auth_file", c.OCI.AuthFile)
	c.OCI.Registries = byHost(d, oci+".registries", c.OCI.Registries, func(key, host string, r Registry) {
		d.optionalPath(key+".ca_file", r.CAFile)
		d.optionalPath(key+".password_file", r.PasswordFile)
		if (r.Username == "") != (r.PasswordFile == "") {
			d.wrong(key, "must have both username and password_file, or neither")
		}
		if bool(r.PlainHTTP) && !isLoopback(host) {
			d.wrong(key+".plain_http", "is for a registry on this host; %q gets https", host)
		}
	})
}

func (d *decoder) aws(c AWS) {
	for key, path := range map[string]string{"aws.profile_file": c.ProfileFile, "aws.token_file": c.TokenFile, "aws.ca_file": c.CAFile} {
		d.optionalPath(key, path)
	}
	for _, service := range slices.Sorted(maps.Keys(c.Endpoints)) {
		key := child("aws.endpoints", service)
		if !slices.Contains(awsServices, service) {
			d.wrong(key, "is no service of ours: known are %s", strings.Join(awsServices, ", "))
			continue
		}
		d.url(key, c.Endpoints[service])
		if u, err := url.Parse(c.Endpoints[service]); err == nil && service != "imds" && u.Scheme == "http" && !isLoopback(u.Hostname()) {
			d.wrong(key, "is not https, which only a server on this host may do without")
		}
	}
}

// awsServices are those that the agent talks to.
var awsServices = []string{"imds", "s3", "secretsmanager", "ssm", "sts"}

// byHost checks the entries of a map whose keys are host or host:port, and
// returns it with keys in lower case.
func byHost[T any](d *decoder, key string, m map[string]T, check func(key, host string, v T)) map[string]T {
	if m == nil {
		return nil
	}
	lower := make(map[string]T, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := child(key, name)
		host := hostOf(name)
		if host == "" {
			d.wrong(at, "%q is not a host, or host:port", name)
			continue
		}
		check(at, host, m[name])
		if _, twice := lower[strings.ToLower(name)]; twice {
			d.wrong(at, "given twice, in different case")
		}
		lower[strings.ToLower(name)] = m[name]
	}
	return lower
}

// hostOf is the host of host or host:port; empty if s is neither.
func hostOf(s string) string {
	u, err := url.Parse("https://" + s)
	if err != nil || u.Host != s || u.User != nil {
		return ""
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err != nil && nameProblem(host) != "" {
		return ""
	}
	return host
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (d *decoder) optionalPath(key, path string) {
	if path != "" {
		d.absolute(key, path)
	}
}

// url wants http or https, a host, and nothing that could be a password.
func (d *decoder) url(key, s string) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		d.wrong(key, "is not https://HOST") // without the text, which may hold a password
	case u.User != nil:
		d.wrong(key, "has a user in it, which everyone sees who may read the file")
	}
}
