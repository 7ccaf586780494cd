package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// maxDomains bounds how many domains are asked at once.
const maxDomains = 32

// noticeable is a difference of clocks to tell of: a domain tolerates five
// minutes, and clocks that nobody sets go on drifting.
const noticeable = time.Minute

func (h *Host) domainChecks() []Check {
	return []Check{{Name: "domains", Look: h.domains, within: 3 * patience}}
}

// served are the domains that the configuration and the local store name: by
// their DNS names, and those of which only the NetBIOS name is known.
func (h *Host) served(ctx context.Context) (dns, netbios []string) {
	names := map[string]bool{}
	for name := range h.Config.Directory.Domains {
		names[name] = true
	}
	for _, s := range h.Config.Secrets.Serve {
		names[strings.ToLower(strings.TrimSuffix(s.Domain, "."))] = true
	}
	entries, _ := h.kept(ctx) // what is wrong with the store is said by its own check
	for _, e := range entries {
		if e.Domain != "" {
			names[strings.ToLower(strings.TrimSuffix(e.Domain, "."))] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if strings.Contains(name, ".") || h.hasSettings(name) {
			dns = append(dns, name)
		} else {
			netbios = append(netbios, strings.ToUpper(name))
		}
	}
	return dns, netbios
}

func (h *Host) hasSettings(name string) bool {
	_, ok := h.Config.Directory.Domains[name]
	return ok
}

func (h *Host) domains(ctx context.Context) []Finding {
	dns, netbios := h.served(ctx)
	if len(dns)+len(netbios) == 0 {
		return []Finding{skipped("name one in secrets.serve or directory.domains: "+h.Again("config show"), "no configuration and no local secret names a domain")}
	}
	more := len(dns) - maxDomains
	if more > 0 {
		dns = dns[:maxDomains]
	}
	var checks []Check
	for _, name := range dns {
		checks = append(checks, Check{Name: "domain " + name, Look: func(ctx context.Context) []Finding { return h.domain(ctx, name) }, within: 2 * patience})
	}
	found := Run(ctx, checks)
	for _, name := range netbios {
		found = append(found, named("domain "+name, skipped("name it in directory.domains: "+h.Again("config show"), "only its NetBIOS name is known, by which DNS finds no domain controllers")))
	}
	if more > 0 {
		found = append(found, skipped("", "the first %d were asked, %d were not", maxDomains, more))
	}
	return found
}

// domain does what needs no password of what CCG does: finds a controller by
// DNS, reaches its KDC, compares clocks, and connects to its LDAP.
func (h *Host) domain(ctx context.Context, name string) []Finding {
	d, err := h.Domain(name)
	if err != nil {
		return []Finding{failed(h.DomainHint(name, err), "%v", err)}
	}
	dc, err := d.FindController(ctx)
	if err != nil {
		return []Finding{failed(h.DomainHint(name, err), "%v", err)}
	}
	found := []Finding{okay("%s answers on Kerberos' port", dc)}
	of := func(what string) string { return "domain " + name + " " + what }
	return append(found, Run(ctx, []Check{
		{Name: of("clock"), Look: func(ctx context.Context) []Finding { return []Finding{h.clock(ctx, d, dc, name)} }},
		{Name: of("ldap"), Look: func(ctx context.Context) []Finding { return []Finding{h.ldap(ctx, d, dc, name)} }},
	})...)
}

func (h *Host) clock(ctx context.Context, d Domain, dc *directory.Controller, name string) Finding {
	ahead, err := d.Clock(ctx, dc)
	if err != nil {
		return failed(h.DomainHint(name, err), "%v", err)
	}
	text := fmt.Sprintf("%s's clock is %v ahead of this computer's", dc.Host, ahead.Round(time.Second))
	if ahead < 0 {
		text = fmt.Sprintf("%s's clock is %v behind this computer's", dc.Host, -ahead.Round(time.Second))
	}
	if max(ahead, -ahead) >= noticeable {
		return warning(h.DomainHint(name, &directory.Error{Op: "compare clocks", Domain: name, Kind: directory.ClockSkew}), "%s; a domain tolerates 5 minutes", text)
	}
	return okay("%s", text)
}

func (h *Host) ldap(ctx context.Context, d Domain, dc *directory.Controller, name string) Finding {
	transport, err := d.Transport(ctx, dc)
	if err != nil {
		return failed(h.DomainHint(name, err), "%v", err)
	}
	return okay("%s: %s", dc.Host, transport)
}

func count(n int) string {
	if n == 0 {
		return "none"
	}
	return fmt.Sprint(n)
}
