package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Permit says whether the policy lets a container use a credential spec with a
// secret (its reference; empty if none is used). The error wraps
// [fault.ErrDenied] and names, for each rule, the first thing that the rule
// does not allow. That a secret must be of the credential spec's domain is not
// among the rules: no configuration turns it off.
func Permit(p config.Policy, f hook.Facts, s *credspec.Spec, secret string) error {
	if p.Allow == nil {
		return nil
	}
	var refusals []string
	for _, r := range p.Allow {
		refusal := refuses(r, f, s, secret)
		if refusal == "" {
			return nil
		}
		if !slices.Contains(refusals, refusal) {
			refusals = append(refusals, refusal)
		}
	}
	return fmt.Errorf("no rule of the policy allows %s: %w", strings.Join(refusals, ", nor "), fault.ErrDenied)
}

// refuses returns the first thing that a rule does not allow, or "".
func refuses(r config.Rule, f hook.Facts, s *credspec.Spec, secret string) string {
	if r.Domains != nil {
		for _, name := range domains(s) {
			if !slices.ContainsFunc(r.Domains, func(x string) bool { return strings.EqualFold(x, name) }) {
				return "the domain " + name
			}
		}
	}
	if r.Accounts != nil {
		for _, name := range accounts(s) {
			if !slices.ContainsFunc(r.Accounts, func(p config.Pattern) bool { return p.MatchFold(name) }) {
				return "the account " + name
			}
		}
	}
	if r.Namespaces != nil && !fits(r.Namespaces, f.Namespace) {
		return fmt.Sprintf("the namespace %q", f.Namespace)
	}
	if r.Images != nil && !fits(r.Images, f.Image) {
		return fmt.Sprintf("the image %q", f.Image)
	}
	if r.Secrets != nil && !fits(r.Secrets, secret) {
		if secret == "" {
			return "a credential spec that is used without a secret"
		}
		return "the secret " + secret
	}
	for k, want := range r.Labels {
		// Annotations and labels are one thing to the rules, and one must not
		// hide the other: all that is there must fit.
		a, annotated := f.Annotations[k]
		l, labelled := f.Labels[k]
		if !annotated && !labelled || annotated && !want.Match(a) || labelled && !want.Match(l) {
			return fmt.Sprintf("a container without %s=%s", k, want)
		}
	}
	return ""
}

func fits(patterns []config.Pattern, s string) bool {
	return slices.ContainsFunc(patterns, func(p config.Pattern) bool { return p.Match(s) })
}

// CheckDomain says whether a secret may serve a credential spec of the domain
// with these names. This is what keeps one tenant's secret from another's
// containers. The error wraps [fault.ErrDenied].
func CheckDomain(ref secrets.Ref, c *secrets.Credential, dns, netbios string) error {
	if c.Serves(dns, netbios) {
		return nil
	}
	if netbios == "" && !strings.Contains(c.Domain, ".") {
		return fmt.Errorf("secret %s: it names its domain %s without the DNS name, which is not enough for a document that a container brings along; store it with the DNS name, or name it for %s in the configuration's secrets.serve: %w", ref, c.Domain, dns, fault.ErrDenied)
	}
	return fmt.Errorf("secret %s: it is of the domain %s and serves no credential spec of %s: %w", ref, c.Domain, dns, fault.ErrDenied)
}

// domains are the domain of a credential spec, by its DNS name, and what else
// the scopes of its accounts name: a NetBIOS name that is not the domain's own
// stands for itself.
func domains(s *credspec.Spec) []string {
	d := s.DomainJoinConfig
	names := []string{d.DnsName}
	for _, a := range s.ActiveDirectoryConfig.GroupManagedServiceAccounts {
		if !strings.EqualFold(a.Scope, d.NetBiosName) && !containsFold(names, a.Scope) {
			names = append(names, a.Scope)
		}
	}
	return names
}

// accounts are all gMSAs that a credential spec names, each once.
func accounts(s *credspec.Spec) []string {
	names := []string{s.DomainJoinConfig.MachineAccountName}
	for _, a := range s.ActiveDirectoryConfig.GroupManagedServiceAccounts {
		if !containsFold(names, a.Name) {
			names = append(names, a.Name)
		}
	}
	return names
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}
