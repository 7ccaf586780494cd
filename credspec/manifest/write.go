package manifest

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Write writes a document as a Kubernetes manifest in YAML: an object of
// kind GMSACredentialSpec, which belongs to the cluster and to no namespace. It
// refuses a name that Kubernetes does not take.
//
// The object's definition knows the members that Spec has fields for, and the
// API server drops all others without a word; so they are not written, either.
func Write(s *credspec.Spec, name string) ([]byte, error) {
	if err := checkObjectName(name); err != nil {
		return nil, err
	}
	// A type of its own, because YAML's names of fields are not JSON's.
	type account struct {
		Name  string `yaml:"Name"`
		Scope string `yaml:"Scope"`
	}
	type hostAccount struct {
		PortableCcgVersion string `yaml:"PortableCcgVersion"`
		PluginGUID         string `yaml:"PluginGUID"`
		PluginInput        string `yaml:"PluginInput"`
	}
	var m struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Metadata   struct {
			Name string `yaml:"name"`
		} `yaml:"metadata"`
		Credspec struct {
			CmsPlugins       []string `yaml:"CmsPlugins"`
			DomainJoinConfig struct {
				Sid                string `yaml:"Sid"`
				MachineAccountName string `yaml:"MachineAccountName"`
				Guid               string `yaml:"Guid"`
				DnsTreeName        string `yaml:"DnsTreeName"`
				DnsName            string `yaml:"DnsName"`
				NetBiosName        string `yaml:"NetBiosName"`
			} `yaml:"DomainJoinConfig"`
			ActiveDirectoryConfig struct {
				GroupManagedServiceAccounts []account    `yaml:"GroupManagedServiceAccounts"`
				HostAccountConfig           *hostAccount `yaml:"HostAccountConfig,omitempty"`
			} `yaml:"ActiveDirectoryConfig"`
		} `yaml:"credspec"`
	}
	m.APIVersion, m.Kind, m.Metadata.Name = Group+"/v1", Kind, name
	m.Credspec.CmsPlugins = s.CmsPlugins
	d, join := s.DomainJoinConfig, &m.Credspec.DomainJoinConfig
	join.Sid, join.MachineAccountName, join.Guid = d.Sid, d.MachineAccountName, d.Guid
	join.DnsTreeName, join.DnsName, join.NetBiosName = d.DnsTreeName, d.DnsName, d.NetBiosName
	ad := &m.Credspec.ActiveDirectoryConfig
	for _, a := range s.ActiveDirectoryConfig.GroupManagedServiceAccounts {
		ad.GroupManagedServiceAccounts = append(ad.GroupManagedServiceAccounts, account(a))
	}
	if h := s.ActiveDirectoryConfig.HostAccountConfig; h != nil {
		ad.HostAccountConfig = (*hostAccount)(h)
	}
	b, err := yaml.Dump(m, yaml.WithLineWidth(-1)) // a line that is broken is the same value, and hard to read
	if err != nil {
		return nil, fmt.Errorf("encode credential spec: %w", err)
	}
	return b, nil
}

// checkObjectName wants what Kubernetes takes as the name of a
// GMSACredentialSpec: a DNS subdomain of RFC 1123 in small letters.
func checkObjectName(name string) error {
	if !subdomain(name) {
		return fmt.Errorf("%.64q is not a name for a Kubernetes object: %w: small letters, digits, - and . are allowed, at most %d, and letters or digits at both ends",
			name, fault.ErrMalformed, maxSubdomain)
	}
	return nil
}
