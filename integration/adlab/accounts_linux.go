package adlab

import (
	"encoding/binary"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// AddGroup adds a security group whose members are users or groups that Admin,
// Samba or the lab's recipe made.
func (a *Admin) AddGroup(name string, members ...string) error {
	r := ldap.NewAddRequest(a.userDN(name), nil)
	r.Attribute("objectClass", []string{"group"})
	r.Attribute("sAMAccountName", []string{name})
	var dns []string
	for _, m := range members {
		dns = append(dns, a.userDN(m))
	}
	if len(dns) > 0 {
		r.Attribute("member", dns)
	}
	if err := a.conn.Add(r); err != nil {
		return fmt.Errorf("add group %s: %w", name, err)
	}
	return nil
}

// AddGMSA adds a gMSA whose managed password the readers may read: users or
// groups by their sAMAccountName.
func (a *Admin) AddGMSA(name string, readers ...string) error {
	var sids [][]byte
	for _, reader := range readers {
		e, err := a.one(a.d.BaseDN, ldap.ScopeWholeSubtree, "(sAMAccountName="+ldap.EscapeFilter(reader)+")", "objectSid")
		if err != nil {
			return err
		}
		sids = append(sids, e.GetRawAttributeValue("objectSid"))
	}
	r := ldap.NewAddRequest("CN="+name+",CN=Managed Service Accounts,"+a.d.BaseDN, nil)
	r.Attribute("objectClass", []string{"msDS-GroupManagedServiceAccount"})
	r.Attribute("sAMAccountName", []string{name + "$"})
	r.Attribute("dNSHostName", []string{name + "." + a.d.DNSName})
	r.Attribute("userAccountControl", []string{uac(workstationTrust)})
	r.Attribute("msDS-ManagedPasswordInterval", []string{"30"})
	r.Attribute("msDS-SupportedEncryptionTypes", []string{"24"}) // AES only
	r.Attribute("msDS-GroupMSAMembership", []string{string(membership(sids))})
	if err := a.conn.Add(r); err != nil {
		return fmt.Errorf("add gMSA %s: %w", name, err)
	}
	return nil
}

// Change sets the values of one attribute of the gMSA; no values remove it.
func (a *Admin) Change(gmsa, attribute string, values ...string) error {
	return a.replace("CN="+gmsa+",CN=Managed Service Accounts,"+a.d.BaseDN, attribute, values...)
}

// workstationTrust is what Windows makes a gMSA's userAccountControl (MS-ADTS 2.2.16).
const workstationTrust = 0x1000

// membership is the self-relative security descriptor (MS-DTYP 2.4.6) that
// New-ADServiceAccount makes: owned by BUILTIN\Administrators, with full
// control for each reader.
func membership(readers [][]byte) []byte {
	le := binary.LittleEndian
	const fullControl, selfRelative, daclPresent = 0xf01ff, 0x8000, 0x4
	owner := []byte{1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0} // S-1-5-32-544
	var aces []byte
	for _, sid := range readers {
		aces = append(aces, 0, 0) // ACCESS_ALLOWED_ACE_TYPE, no flags
		aces = le.AppendUint16(aces, uint16(8+len(sid)))
		aces = append(le.AppendUint32(aces, fullControl), sid...)
	}
	b := []byte{1, 0}
	b = le.AppendUint16(b, selfRelative|daclPresent)
	b = le.AppendUint32(b, 20)                    // owner, after this header
	b = append(b, make([]byte, 8)...)             // no group, no system access control list
	b = le.AppendUint32(b, uint32(20+len(owner))) // discretionary access control list
	b = append(b, owner...)
	b = append(b, 4, 0)
	b = le.AppendUint16(b, uint16(8+len(aces)))
	b = le.AppendUint16(b, uint16(len(readers)))
	return append(append(b, 0, 0), aces...)
}
