// Package directory asks Active Directory what CCG asks it: it finds a domain
// controller, authenticates as the plugin user, reads and parses a gMSA's
// managed password, becomes the gMSA and proves it. It does so from Linux and
// Windows alike, on hosts that are joined to a domain or not, without cgo and
// without a word in the system's Kerberos, DNS or trust configuration.
//
//	Client ── FindController ── Authenticate ──► Identity (plugin user)
//	                                              │ Open ──► Session ── ReadManagedPassword
//	       ── Impersonate(managed password) ──► Identity (gMSA)
//	                                              │ Open ──► Session ── WhoAmI
//	                                              └ ServiceTicket(SPN)
//
// [Prove] does all of that and reports every step.
//
// It also says what a credential spec has to say, and whether what one says is
// true, without reading a password:
//
//	Client ── FindController ── Authenticate, or FromCache (tickets of kinit)
//	                                              │ Open ──► Session ── Domain
//	                                                                 ── ServiceAccount ── Access
//
// Passwords are used for Kerberos only and never leave the process: an LDAP
// simple bind would hand them to the domain controller, and would take an old
// password for an hour after it was changed. LDAP goes over TLS with channel
// bindings, or where a domain controller has no usable certificate, over port
// 389 sealed with the Kerberos session key; never in clear.
//
// Every failure is an [*Error] whose [Kind] says in words what is wrong. No
// error has a password, a key or a ticket in it.
//
// The package refuses to know credential specs, secret stores and references;
// it takes names and bytes. It follows no trusts: the plugin user, the gMSA and
// the service are all of one domain.
package directory
