// Package membership says whether this host is a member of an Active Directory
// domain, and so has an account of its own there by which Windows can fetch
// gMSAs' passwords.
//
// It asks the system and nobody else: no domain controller is needed for it,
// nor does a host have to reach one at the moment.
package membership

// status is Windows' NETSETUP_JOIN_STATUS.
//
// https://learn.microsoft.com/windows/win32/api/lmjoin/ne-lmjoin-netsetup_join_status
type status uint32

const (
	unknown   status = iota // NetSetupUnknownStatus
	unjoined                // NetSetupUnjoined
	workgroup               // NetSetupWorkgroupName
	domain                  // NetSetupDomainName
)

// ofDomain says what a status means to us. A host that is joined to Microsoft
// Entra ID alone is in a workgroup to this function, which is right: it has no
// account in a domain. What Windows does not know is no membership: then a
// container is refused, and told why, rather than started without its identity.
func (s status) ofDomain() bool { return s == domain }
