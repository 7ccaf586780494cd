// Package adlab is the Active Directory lab: two real domains, CONTOSO.COM on
// 127.0.10.1 and FABRIKAM.COM on 127.0.10.2, each a Samba domain controller
// with a real gMSA, a plugin user that may read the gMSA's managed password
// and one that may not.
//
// A domain is provisioned once and kept as an archive in the labs' cache.
// [Start] unpacks it into memory and runs the domain controller in mount and
// process namespaces of its own, so that [Lab.Stop], or the death of the
// process that called Start, leaves no process, no mount and no file behind.
// Users' passwords are made anew by every Start: none is a fixture.
//
// Tickets are had from MIT Kerberos' own programs ([Domain.Kinit]).
//
// The package knows Samba and how to bring an account into every state in
// which it cannot log on. It refuses to know the code under test: what it
// needs from a directory it asks for with an LDAP library. Samba is not
// Windows; the differences that matter are named where they do.
//
// The lab needs Linux, root, and Samba 4.22 or later from Debian's backports,
// which [Setup] installs. It leaves /etc/resolv.conf, /etc/hosts and
// /etc/krb5.conf alone: its DNS servers and CA files are told to whom it may
// concern ([Domain]).
package adlab
