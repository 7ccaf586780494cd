package directory

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Domain is what the directory says of its domain.
type Domain struct {
	DNSName string // "emea.contoso.com"
	NetBIOS string // "EMEA"
	Forest  string // DNS name of the forest's root domain: "contoso.com"
	SID     string // "S-1-5-21-…"
	GUID    string // of the domain's object, 8-4-4-4-12 small hexadecimal digits
}

// The attributes that a domain is known by. The naming contexts stand in the
// rootDSE (MS-ADTS 3.1.1.3.2), a domain's names in its crossRef object (MS-ADTS
// 6.1.1.2.1.1), the identifiers in the object at the top of its own naming
// context.
const (
	attrDefaultNC = "defaultNamingContext"
	attrConfigNC  = "configurationNamingContext"
	attrRootNC    = "rootDomainNamingContext"
	attrDNSRoot   = "dnsRoot"
	attrNetBIOS   = "nETBIOSName"
	attrSID       = "objectSid"
	attrGUID      = "objectGUID"
)

// Domain reads what the directory says of its domain. Every user may.
func (s *Session) Domain(ctx context.Context) (*Domain, error) {
	d, err := s.readDomain(ctx)
	if err != nil {
		return nil, s.id.c.errorAt("read what the directory says of the domain", s.id.dc, err)
	}
	return d, nil
}

func (s *Session) readDomain(ctx context.Context) (*Domain, error) {
	root, err := s.one(ctx, "", attrDefaultNC, attrConfigNC, attrRootNC)
	if err != nil {
		return nil, err
	}
	own := root.GetAttributeValue(attrDefaultNC)
	if !strings.EqualFold(own, s.id.c.baseDN()) {
		return nil, failf(Malformed, "it is a domain controller of %s", own)
	}
	head, err := s.one(ctx, own, attrSID, attrGUID)
	if err != nil {
		return nil, err
	}
	partitions := "CN=Partitions," + root.GetAttributeValue(attrConfigNC)
	self, err := s.crossRef(ctx, partitions, own)
	if err != nil {
		return nil, err
	}
	forest, err := s.crossRef(ctx, partitions, root.GetAttributeValue(attrRootNC))
	if err != nil {
		return nil, err
	}
	d := &Domain{
		DNSName: self.GetAttributeValue(attrDNSRoot), NetBIOS: self.GetAttributeValue(attrNetBIOS),
		Forest: forest.GetAttributeValue(attrDNSRoot),
	}
	id, err := parseSID(head.GetRawAttributeValue(attrSID))
	if err != nil {
		return nil, fail(Malformed, fmt.Errorf("%s of %s: %w", attrSID, own, err))
	}
	d.SID = id.String()
	if d.GUID, err = guidString(head.GetRawAttributeValue(attrGUID)); err != nil {
		return nil, fail(Malformed, fmt.Errorf("%s of %s: %w", attrGUID, own, err))
	}
	if d.DNSName == "" || d.NetBIOS == "" || d.Forest == "" {
		return nil, failf(Malformed, "the crossRef of %s lacks %s or %s", own, attrDNSRoot, attrNetBIOS)
	}
	return d, nil
}

// crossRef is the object that has the names of a domain by its naming context.
func (s *Session) crossRef(ctx context.Context, partitions, of string) (*ldap.Entry, error) {
	found, err := s.search(ctx, partitions, ldap.ScopeSingleLevel, 2,
		"(&(objectClass=crossRef)(nCName="+ldap.EscapeFilter(of)+"))", attrDNSRoot, attrNetBIOS)
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, failf(Malformed, "%d crossRef objects of %s", len(found), of)
	}
	return found[0], nil
}

// one reads one object.
func (s *Session) one(ctx context.Context, dn string, attributes ...string) (*ldap.Entry, error) {
	found, err := s.search(ctx, dn, ldap.ScopeBaseObject, 1, "(objectClass=*)", attributes...)
	if err == nil && len(found) == 0 {
		err = failf(Malformed, "%q cannot be read", dn)
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}
