package credspec

// Domain is what a document says of an Active Directory domain. Every value is
// the directory's own; none can be made up from another: the NetBIOS name need
// not be a label of the DNS name, and a forest can have several trees.
type Domain struct {
	DNSName     string // "emea.contoso.com"
	NetBIOSName string // "EMEA"
	Forest      string // DNS name of the forest's root domain: "contoso.com"
	SID         string // the domain's, "S-1-5-21-a-b-c"
	GUID        string // objectGUID of the domain
}

// Member is an account of a document, in its own domain.
type Member struct {
	Name        string // sAMAccountName without the $
	DNSName     string // of the account's domain
	NetBIOSName string // of the account's domain
}

// Generate makes a document: for the domain, with its gMSA account as the
// default one, further accounts, of this domain or of others, and the plugin
// that has the plugin user, which may be nil. [Spec.Encode] writes it.
//
// Every account is listed with both names of its domain, because programs name
// the domain in either way. An account that is given twice is listed once. The
// same input makes the same bytes.
func Generate(d Domain, account string, additional []Member, host *HostAccountConfig) *Spec {
	s := &Spec{
		CmsPlugins: []string{cmsPlugin},
		DomainJoinConfig: DomainJoinConfig{
			Sid: d.SID, MachineAccountName: account, Guid: d.GUID,
			DnsTreeName: d.Forest, DnsName: d.DNSName, NetBiosName: d.NetBIOSName,
		},
		ActiveDirectoryConfig: ActiveDirectoryConfig{HostAccountConfig: host},
	}
	list := &s.ActiveDirectoryConfig.GroupManagedServiceAccounts
	seen := make(map[Account]bool)
	for _, m := range append([]Member{{account, d.DNSName, d.NetBIOSName}}, additional...) {
		for _, scope := range []string{m.DNSName, m.NetBIOSName} {
			if a := (Account{m.Name, scope}); !seen[a] {
				seen[a] = true
				*list = append(*list, a)
			}
		}
	}
	return s
}
