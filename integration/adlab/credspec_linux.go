package adlab

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// CredentialSpec returns the credential spec of a gMSA of the domain, as
// Windows's New-CredentialSpec writes it, with what the directory says.
func (d *Domain) CredentialSpec(ctx context.Context, account string) ([]byte, error) {
	a, err := d.Admin(ctx)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	root, err := a.one("", ldap.ScopeBaseObject, "(objectClass=*)", "configurationNamingContext", "rootDomainNamingContext")
	if err != nil {
		return nil, err
	}
	domain, err := a.one(d.BaseDN, ldap.ScopeBaseObject, "(objectClass=domainDNS)", "objectSid", "objectGUID")
	if err != nil {
		return nil, err
	}
	partitions := "CN=Partitions," + root.GetAttributeValue("configurationNamingContext")
	self, err := a.crossRef(partitions, d.BaseDN)
	if err != nil {
		return nil, err
	}
	tree, err := a.crossRef(partitions, root.GetAttributeValue("rootDomainNamingContext"))
	if err != nil {
		return nil, err
	}
	gmsa, err := a.one(d.BaseDN, ldap.ScopeWholeSubtree,
		"(&(objectClass=msDS-GroupManagedServiceAccount)(sAMAccountName="+ldap.EscapeFilter(account)+"$))", "sAMAccountName")
	if err != nil {
		return nil, err
	}
	sid, err := sidString(domain.GetRawAttributeValue("objectSid"))
	if err != nil {
		return nil, err
	}
	guid, err := guidString(domain.GetRawAttributeValue("objectGUID"))
	if err != nil {
		return nil, err
	}

	type member struct{ Name, Scope string }
	name := strings.TrimSuffix(gmsa.GetAttributeValue("sAMAccountName"), "$")
	dnsName, netBIOS := self.GetAttributeValue("dnsRoot"), self.GetAttributeValue("nETBIOSName")
	return json.MarshalIndent(struct {
		CmsPlugins       []string
		DomainJoinConfig struct {
			Sid, MachineAccountName, Guid, DnsTreeName, DnsName, NetBiosName string
		}
		ActiveDirectoryConfig struct{ GroupManagedServiceAccounts []member }
	}{
		[]string{"ActiveDirectory"},
		struct {
			Sid, MachineAccountName, Guid, DnsTreeName, DnsName, NetBiosName string
		}{sid, name, guid, tree.GetAttributeValue("dnsRoot"), dnsName, netBIOS},
		struct{ GroupManagedServiceAccounts []member }{[]member{{name, dnsName}, {name, netBIOS}}},
	}, "", "  ")
}

// crossRef finds what the directory says of one of its naming contexts.
func (a *Admin) crossRef(partitions, context string) (*ldap.Entry, error) {
	return a.one(partitions, ldap.ScopeSingleLevel,
		"(&(objectClass=crossRef)(nCName="+ldap.EscapeFilter(context)+"))", "nETBIOSName", "dnsRoot")
}

// sidString writes a binary SID (MS-DTYP 2.4.2.2) as S-1-….
func sidString(b []byte) (string, error) {
	if len(b) < 8 || len(b) != 8+4*int(b[1]) {
		return "", fmt.Errorf("a SID of %d bytes", len(b))
	}
	authority := uint64(binary.BigEndian.Uint16(b[2:]))<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	s := fmt.Sprintf("S-%d-%d", b[0], authority)
	for i := 8; i < len(b); i += 4 {
		s += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(b[i:]))
	}
	return s, nil
}

// guidString writes a binary GUID (MS-DTYP 2.3.4.2), whose first three fields are little-endian.
func guidString(b []byte) (string, error) {
	if len(b) != 16 {
		return "", fmt.Errorf("a GUID of %d bytes", len(b))
	}
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:]), nil
}
