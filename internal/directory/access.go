package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Principal is somebody whom a security descriptor names.
type Principal struct {
	SID   string // "S-1-5-21-…"
	Name  string // logon name, or a well-known one; the SID if the directory does not say
	Group bool   // a group of the directory
}

// String is "members of the group WebApp01Hosts", or the name alone.
func (p Principal) String() string {
	if p.Group {
		return "members of the group " + p.Name
	}
	return p.Name
}

// Access is what the directory says about a user's right to read a gMSA's
// managed password.
type Access struct {
	User    string // sAMAccountName, as the directory writes it
	Allowed bool
	// Through is who the deciding entry of the list is about: the user, or a
	// group that the user is in. Nil if no entry is about the user.
	Through *Principal
	// Readers are those whom the list allows, as many as can be named
	// usefully; More counts the others.
	Readers []Principal
	More    int
}

// maxReaders bounds how many of those who may read a managed password are named.
const maxReaders = 10

// Access says whether a user of the domain, by logon name or user principal
// name, may read the gMSA's managed password, without reading it: it evaluates
// msDS-GroupMSAMembership (MS-ADTS 3.1.1.4.4) for the user and the groups that
// the user is in, directly or not.
//
// What it says is as fresh as this domain controller; a user who was added to
// a group has the right with the next logon.
func (s *Session) Access(ctx context.Context, a *ServiceAccount, user string) (*Access, error) {
	op := "ask whether " + user + " may read the managed password of " + a.Name
	if a.descriptor == nil {
		return nil, s.id.c.errorAt(op, s.id.dc, failf(Refused, "the list of those who may (%s) is not readable for %s", attrReaders, s.id.Principal))
	}
	list, err := parseAccessList(a.descriptor)
	if err != nil {
		return nil, s.id.c.errorAt(op, s.id.dc, fail(Malformed, fmt.Errorf("%s of %s: %w", attrReaders, a.DN, err)))
	}
	name, token, err := s.token(ctx, user)
	if err != nil {
		return nil, s.id.c.errorAt(op, s.id.dc, err)
	}
	answer := &Access{User: name}
	allowed, by := list.decide(token)
	answer.Allowed = allowed
	if by != nil {
		p := s.principal(ctx, by)
		answer.Through = &p
	}
	answer.Readers, answer.More = s.principals(ctx, list.readers())
	return answer, nil
}

// everybody are the SIDs that every user has who has logged on over the
// network (MS-DTYP 2.4.2.4).
var everybody = []sid{
	{1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0},  // S-1-1-0, Everyone
	{1, 1, 0, 0, 0, 0, 0, 5, 2, 0, 0, 0},  // S-1-5-2, Network
	{1, 1, 0, 0, 0, 0, 0, 5, 11, 0, 0, 0}, // S-1-5-11, Authenticated Users
	{1, 1, 0, 0, 0, 0, 0, 5, 15, 0, 0, 0}, // S-1-5-15, This Organization
}

// wellKnown are names of SIDs that are no objects of the directory.
var wellKnown = map[string]string{
	"S-1-1-0":  "Everyone",
	"S-1-5-2":  "Network",
	"S-1-5-9":  "Enterprise Domain Controllers",
	"S-1-5-11": "Authenticated Users",
	"S-1-5-15": "This Organization",
	"S-1-5-18": "SYSTEM",
}

// attrTokenGroups is computed: the SIDs of all groups that an account is in,
// directly or not (MS-ADTS 3.1.1.4.5.19). It can only be read object by object.
const attrTokenGroups = "tokenGroups"

// token returns the user's name and the SIDs that an access check takes for it.
func (s *Session) token(ctx context.Context, user string) (name string, sids map[string]bool, err error) {
	found, err := s.search(ctx, s.id.c.baseDN(), ldap.ScopeWholeSubtree, 2, s.userFilter(user), attrName, attrSID)
	if err != nil {
		return "", nil, err
	}
	if len(found) == 0 {
		return "", nil, failf(UnknownUser, "%s", user)
	}
	e, err := s.one(ctx, found[0].DN, attrTokenGroups)
	if err != nil {
		return "", nil, err
	}
	groups := e.GetRawAttributeValues(attrTokenGroups)
	if len(groups) == 0 { // every account is in its primary group at least
		return "", nil, failf(Refused, "the groups of %s (%s) are not readable for %s", found[0].DN, attrTokenGroups, s.id.Principal)
	}
	sids = map[string]bool{string(found[0].GetRawAttributeValue(attrSID)): true}
	for _, id := range everybody {
		sids[string(id)] = true
	}
	for _, id := range groups {
		sids[string(id)] = true
	}
	return found[0].GetAttributeValue(attrName), sids, nil
}

// userFilter finds a user as a logon does: by user principal name, whether it
// is written in the directory or implied by the domain's name, or by logon name.
func (s *Session) userFilter(user string) string {
	filter := "(" + attrName + "=" + ldap.EscapeFilter(user) + ")"
	if name, suffix, is := strings.Cut(user, "@"); is {
		filter += "(" + attrUPN + "=" + ldap.EscapeFilter(user) + ")"
		if strings.EqualFold(suffix, s.id.c.domain) {
			filter += "(" + attrName + "=" + ldap.EscapeFilter(name) + ")"
		}
	}
	return "(&(|(objectClass=user)(objectClass=computer))(|" + filter + "))"
}

// principals names the first of the SIDs and counts the rest.
func (s *Session) principals(ctx context.Context, sids []sid) (named []Principal, more int) {
	for _, id := range sids[:min(len(sids), maxReaders)] {
		named = append(named, s.principal(ctx, id))
	}
	return named, len(sids) - len(named)
}

// principal names an SID as far as this identity may know. It is a help for
// people; it never fails.
func (s *Session) principal(ctx context.Context, id sid) Principal {
	p := Principal{SID: id.String(), Name: id.String()}
	if name, ok := wellKnown[p.SID]; ok {
		p.Name = name
		return p
	}
	var filter strings.Builder
	for _, b := range id {
		fmt.Fprintf(&filter, `\%02x`, b)
	}
	found, err := s.search(ctx, s.id.c.baseDN(), ldap.ScopeWholeSubtree, 1, "("+attrSID+"="+filter.String()+")", attrName, attrClass)
	if err != nil || len(found) == 0 || found[0].GetAttributeValue(attrName) == "" {
		return p
	}
	p.Name = found[0].GetAttributeValue(attrName)
	p.Group = slices.Contains(found[0].GetAttributeValues(attrClass), "group")
	return p
}

// WhoMay says in words whom the list allows.
func (a *Access) WhoMay() string { return whoMay(a.Readers, a.More) }

func whoMay(readers []Principal, more int) string {
	if len(readers) == 0 {
		return "nobody"
	}
	var names []string
	for _, p := range readers {
		names = append(names, p.String())
	}
	if more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}
