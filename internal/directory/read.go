package directory

import (
	"context"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// The attributes of a gMSA that are read.
const (
	attrPassword = "msDS-ManagedPassword"
	attrReaders  = "msDS-GroupMSAMembership"
	attrName     = "sAMAccountName"
	attrClass    = "objectClass"
	classGMSA    = "msDS-GroupManagedServiceAccount"
)

// ReadManagedPassword reads a gMSA's managed password; the account's name is
// taken with or without its dollar sign. The caller wipes what it gets.
//
// A domain controller does not refuse: to a user who may not read it, the
// attribute is not there.
func (s *Session) ReadManagedPassword(ctx context.Context, account string) (*ManagedPassword, error) {
	account = strings.TrimSuffix(account, "$")
	p, err := s.readManagedPassword(ctx, account)
	return p, s.id.c.errorAt("read the managed password of "+account, s.id.dc, err)
}

func (s *Session) readManagedPassword(ctx context.Context, account string) (*ManagedPassword, error) {
	if account == "" || len(account) > maxName {
		return nil, failf(Malformed, "not an account's name")
	}
	found, err := s.search(ctx, s.id.c.baseDN(), ldap.ScopeWholeSubtree, 2,
		"("+attrName+"="+ldap.EscapeFilter(account)+"$)", attrPassword, attrName, attrClass, attrReaders)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fail(NoSuchAccount, nil)
	}
	e := found[0]
	if !isGMSA(e) {
		return nil, failf(NoSuchAccount, "%s", otherClass(e))
	}
	blob := e.GetRawAttributeValue(attrPassword)
	if len(blob) == 0 { // empty, not nil, also if the attribute is absent
		return nil, failf(NotAuthorized, "%s is not among those who may: %s", s.id.Principal, s.whoMay(ctx, e.GetRawAttributeValue(attrReaders)))
	}
	defer clear(blob)
	p, err := parseManagedPassword(blob)
	if err != nil {
		return nil, fail(Malformed, err)
	}
	p.Account = strings.TrimSuffix(e.GetAttributeValue(attrName), "$")
	return p, nil
}

// whoMay says in words who may read the managed password, as far as this
// identity may know that. It is a help for people; it never fails.
func (s *Session) whoMay(ctx context.Context, descriptor []byte) string {
	if len(descriptor) == 0 {
		return "their list is not readable"
	}
	sids, err := allowedSIDs(descriptor)
	if err != nil {
		return err.Error()
	}
	return whoMay(s.principals(ctx, sids))
}
