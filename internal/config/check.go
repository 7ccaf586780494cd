package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// The bounds of settings. Nothing outside them is of use, and a slip of the
// keyboard (KiB for MiB) shows.
const (
	minAuditSize = 128 << 10 // the longest record (audit.MaxLine), and room for others
	maxAuditKeep = 1000
	maxCacheTTL  = 24 * time.Hour // a password that changed yesterday must not be served
	maxStaleTime = 7 * 24 * time.Hour
)

// check reports what decodes and still makes no sense, and brings names into
// the one form that the rest of the agent compares.
func (d *decoder) check(c *Config) {
	d.absolute("state_dir", c.StateDir)
	d.absolute("audit.file", c.Audit.File)
	if c.Audit.MaxSize < minAuditSize {
		d.wrong("audit.max_size", "must be at least 128KiB")
	}
	if c.Audit.Keep < 1 || c.Audit.Keep > maxAuditKeep {
		d.wrong("audit.keep", "must be 1 to %d", maxAuditKeep)
	}
	if users := c.Channels.Plugin.Users; users != nil && len(users) == 0 {
		d.wrong("channels.plugin.users", "is empty: remove it for the platform's own, or name some")
	}
	d.allGiven("channels.plugin.users", c.Channels.Plugin.Users)
	d.allGiven("channels.plugin.images", c.Channels.Plugin.Images)
	d.containerd(c.Containerd)
	d.ccg(c.CCG)
	d.docker(c.Docker)
	for i, dir := range c.CredentialSpecs.Folders {
		d.absolute(fmt.Sprintf("credential_specs.folders[%d]", i), dir)
	}
	d.remote(&c.CredentialSpecs)
	d.aws(c.AWS)
	d.optionalPath("kubernetes.kubeconfig", c.Kubernetes.Kubeconfig)
	if c.Kubernetes.Context != "" && c.Kubernetes.Kubeconfig == "" {
		d.wrong("kubernetes.context", "is of a kubeconfig: name it in kubernetes.kubeconfig")
	}
	d.absolute("secrets.local.dir", c.Secrets.Local.Dir)
	d.stores(&c.Secrets)
	d.serve(c.Secrets.Serve)
	d.policy(c.Policy)
	if c.Policy.HostAccount == HostAccountRequire && c.DomainJoined == JoinedNo {
		d.wrong("policy.host_account", "is require, and domain_joined says that this host is no member of a domain: every container would be refused")
	}
	d.domains(&c.Directory)
	for i, guid := range c.Adopt {
		canonical, ok := CanonicalGUID(guid)
		if !ok {
			d.wrong(fmt.Sprintf("adopt[%d]", i), "%q is not a GUID such as {EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}", guid)
			continue
		}
		c.Adopt[i] = canonical
	}
}

// wrong adds a problem, unless the decoder has found one at this key already.
func (d *decoder) wrong(key, format string, args ...any) {
	if !d.failed(key) {
		d.add(key, format, args...)
	}
}

// absolute checks a path that stands in the file; the defaults are absolute
// where state_dir is.
func (d *decoder) absolute(key, path string) {
	if _, given := d.places[key]; given && !strings.HasPrefix(path, "/") && !isWindowsPath(path) {
		d.wrong(key, "%q is not an absolute path", path)
	}
}

// isWindowsPath says whether path is absolute as Windows writes it. Both forms
// are read on every system, so that a file can be checked away from its host.
func isWindowsPath(path string) bool {
	return strings.HasPrefix(path, `\\`) ||
		len(path) >= 3 && path[1] == ':' && (path[2] == '\\' || path[2] == '/') && unicode.IsLetter(rune(path[0]))
}

func (d *decoder) allGiven(key string, list []string) {
	for i, s := range list {
		if strings.TrimSpace(s) == "" {
			d.wrong(fmt.Sprintf("%s[%d]", key, i), "must not be empty")
		}
	}
}

func (d *decoder) containerd(list []Containerd) {
	seen := make(map[string]int)
	for i, c := range list {
		key := fmt.Sprintf("containerd[%d]", i)
		if first, twice := seen[c.Address]; twice {
			d.wrong(key+".address", "is that of containerd[%d] already: name all of its namespaces there", first)
		} else {
			seen[c.Address] = i
		}
		d.allGiven(key+".namespaces", c.Namespaces)
		if c.StateDir != "" {
			d.absolute(key+".state_dir", c.StateDir)
		}
	}
}

// The bounds of the reaper's times: a look lists every container of the host,
// and a runtime that is restarted must have the time to come back.
const (
	minReapInterval = 5 * time.Second
	maxReapInterval = time.Hour
	minReapGrace    = 30 * time.Second
	maxReapGrace    = 7 * 24 * time.Hour
)

func (d *decoder) ccg(c CCG) {
	if c.Interval < minReapInterval || c.Interval > maxReapInterval {
		d.wrong("ccg.interval", "must be %v to %v", minReapInterval, maxReapInterval)
	}
	if c.Grace < minReapGrace || c.Grace > maxReapGrace {
		d.wrong("ccg.grace", "must be %v to %v", minReapGrace, maxReapGrace)
	}
}

func (d *decoder) serve(list []Serve) {
	type whom struct{ domain, account string }
	seen := make(map[whom]int)
	for i, s := range list {
		key := fmt.Sprintf("secrets.serve[%d]", i)
		d.domain(key+".domain", s.Domain)
		if s.Account != "" {
			d.account(key+".account", s.Account)
		}
		if s.Secret == "" {
			d.wrong(key+".secret", "must name the secret, such as local://contoso")
		}
		w := whom{strings.ToLower(s.Domain), strings.ToLower(s.Account)}
		if first, twice := seen[w]; twice && s.Domain != "" {
			d.wrong(key, "serves the domain and account of secrets.serve[%d]", first)
		} else {
			seen[w] = i
		}
	}
}

func (d *decoder) policy(p Policy) {
	if p.Allow != nil && len(p.Allow) == 0 {
		d.wrong("policy.allow", "is empty: remove it to allow every container, or write a rule")
	}
	for i, r := range p.Allow {
		key := fmt.Sprintf("policy.allow[%d]", i)
		if r.Domains == nil && r.Accounts == nil && r.Namespaces == nil && r.Images == nil && r.Labels == nil && r.Secrets == nil {
			d.wrong(key, "is empty: it must have at least one of %s", strings.Join(ruleKeys, ", "))
		}
		d.notEmpty(key+".domains", r.Domains != nil, len(r.Domains))
		d.notEmpty(key+".accounts", r.Accounts != nil, len(r.Accounts))
		d.notEmpty(key+".namespaces", r.Namespaces != nil, len(r.Namespaces))
		d.notEmpty(key+".images", r.Images != nil, len(r.Images))
		d.notEmpty(key+".labels", r.Labels != nil, len(r.Labels))
		d.notEmpty(key+".secrets", r.Secrets != nil, len(r.Secrets))
		for j, name := range r.Domains {
			at := fmt.Sprintf("%s.domains[%d]", key, j)
			d.domain(at, name)
			if name != "" && !strings.Contains(name, ".") {
				// Its author writes a document's NetBIOS name; nothing checks it.
				d.wrong(at, "must be a DNS name, such as contoso.com: a credential spec can claim any NetBIOS name")
			}
		}
		for j, name := range r.Accounts {
			d.account(fmt.Sprintf("%s.accounts[%d]", key, j), string(name))
		}
	}
}

var ruleKeys = []string{"domains", "accounts", "namespaces", "images", "labels", "secrets"}

// notEmpty refuses "images: []": is it no image, or any?
func (d *decoder) notEmpty(key string, given bool, n int) {
	if given && n == 0 {
		d.wrong(key, "is empty: remove it to allow all, or name some")
	}
}

func (d *decoder) domains(dir *Directory) {
	canonical := make(map[string]Domain, len(dir.Domains))
	for _, name := range slices.Sorted(maps.Keys(dir.Domains)) {
		key := child("directory.domains", name)
		d.domain(key, name)
		domain := dir.Domains[name]
		for i, server := range domain.DNS {
			addr, ok := nameServer(server)
			if !ok {
				d.wrong(fmt.Sprintf("%s.dns[%d]", key, i), "%q is not an address, or address:port", server)
				continue
			}
			domain.DNS[i] = addr
		}
		for i, text := range domain.Controllers {
			host, addr, hasAddr := strings.Cut(text, "=")
			_, err := netip.ParseAddr(addr)
			if _, isAddr := netip.ParseAddr(host); isAddr == nil || nameProblem(host) != "" || hasAddr && err != nil {
				d.wrong(fmt.Sprintf("%s.controllers[%d]", key, i), "%q is not a host name, or name=address: Kerberos and TLS need the name", text)
			}
		}
		if domain.CAFile != "" {
			d.absolute(key+".ca_file", domain.CAFile)
		}
		lower := strings.ToLower(name)
		if _, twice := canonical[lower]; twice {
			d.wrong(key, "given twice, in different case")
		}
		canonical[lower] = domain
	}
	if dir.Domains != nil {
		dir.Domains = canonical
	}
}

// nameServer is s as address:port, with DNS's port where s has none.
func nameServer(s string) (string, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(addr, 53).String(), true
	}
	addr, err := netip.ParseAddrPort(s)
	return addr.String(), err == nil && addr.Port() != 0
}

func (d *decoder) domain(key, name string) {
	if why := nameProblem(name); why != "" {
		d.wrong(key, "%s %s: write a domain's DNS name (contoso.com) or NetBIOS name (CONTOSO)", strconv.Quote(name), why)
	}
}

func (d *decoder) account(key, name string) {
	if strings.HasSuffix(name, "$") {
		d.wrong(key, `%q: write the account's name without "$"`, name)
		return
	}
	// The characters that sAMAccountName cannot have ([MS-SAMR] 3.1.1.6); "*"
	// is allowed here, where it is a pattern.
	if name == "" || strings.ContainsAny(name, "\"/\\[]:;|=,+?<>@ ") {
		d.wrong(key, "%q is not the name of an account", name)
	}
}

// nameProblem says what keeps name from being a DNS or NetBIOS name.
func nameProblem(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > 255: // RFC 1035 2.3.4
		return "is too long"
	case strings.HasPrefix(name, ".") || strings.Contains(name, "..") || strings.HasSuffix(name, "."):
		return "has an empty label"
	}
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r) {
			return fmt.Sprintf("has the character %q", r)
		}
	}
	return ""
}

// CanonicalGUID is s in upper case and in braces, as the registry and
// credential specs write a CLSID.
func CanonicalGUID(s string) (string, bool) {
	bare := s
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		if bare, ok = strings.CutSuffix(inner, "}"); !ok {
			return "", false
		}
	}
	if len(bare) != 36 {
		return "", false
	}
	for i, r := range bare {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (r == '-') || !hyphen && !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return "", false
		}
	}
	return "{" + strings.ToUpper(bare) + "}", true
}
