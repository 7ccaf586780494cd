package directory

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// ServiceAccount is what the directory says of a gMSA, without its password.
type ServiceAccount struct {
	Name     string // sAMAccountName without the dollar sign, as the directory writes it
	DN       string
	Disabled bool
	// NoAES says that the account is limited to encryption types that Windows
	// no longer uses by default. False where nothing is set.
	NoAES bool

	descriptor []byte // msDS-GroupMSAMembership; nil if it is not readable
}

// ServiceAccount finds a gMSA of the domain by its logon name, with or without
// the dollar sign, or by its object's name, which can be longer. Where there is
// none, the error says what has the name instead, or which gMSAs have similar names.
func (s *Session) ServiceAccount(ctx context.Context, name string) (*ServiceAccount, error) {
	name = strings.TrimSuffix(name, "$")
	a, err := s.serviceAccount(ctx, name)
	if err != nil {
		return nil, s.id.c.errorAt("find the gMSA "+name, s.id.dc, err)
	}
	return a, nil
}

// Further attributes of accounts.
const (
	attrControl    = "userAccountControl"
	attrEncryption = "msDS-SupportedEncryptionTypes"
	attrUPN        = "userPrincipalName"
	attrCN         = "name"
)

// controlDisabled is ACCOUNTDISABLE of userAccountControl (MS-ADTS 2.2.16), and
// encryptionAES the two AES types of msDS-SupportedEncryptionTypes (MS-KILE 2.2.7).
const (
	controlDisabled = 0x2
	encryptionAES   = 0x8 | 0x10
)

func (s *Session) serviceAccount(ctx context.Context, name string) (*ServiceAccount, error) {
	if name == "" || len(name) > maxName {
		return nil, failf(Malformed, "not an account's name")
	}
	escaped := ldap.EscapeFilter(name)
	found, err := s.search(ctx, s.id.c.baseDN(), ldap.ScopeWholeSubtree, 10,
		"(|("+attrName+"="+escaped+"$)("+attrName+"="+escaped+")(&("+attrClass+"="+classGMSA+")("+attrCN+"="+escaped+")))",
		attrName, attrClass, attrReaders, attrControl, attrEncryption)
	if err != nil {
		return nil, err
	}
	// The logon name says exactly which account is meant; the object's name may
	// be another's, in another organisational unit.
	slices.SortStableFunc(found, func(a, b *ldap.Entry) int { return cmp.Compare(rank(a, name), rank(b, name)) })
	if len(found) == 0 {
		return nil, s.noSuchAccount(ctx, name)
	}
	e := found[0]
	if !isGMSA(e) {
		return nil, failf(NoSuchAccount, "%s", otherClass(e))
	}
	if rank(e, name) > 0 && len(found) > 1 {
		return nil, failf(NoSuchAccount, "several objects are named so: %s and %s; give the account's sAMAccountName", e.DN, found[1].DN)
	}
	a := &ServiceAccount{Name: strings.TrimSuffix(e.GetAttributeValue(attrName), "$"), DN: e.DN}
	if d := e.GetRawAttributeValue(attrReaders); len(d) > 0 {
		a.descriptor = d
	}
	// A number that is none is of no use, and no reason to fail either.
	control, _ := strconv.ParseInt(e.GetAttributeValue(attrControl), 10, 64)
	a.Disabled = control&controlDisabled != 0
	types, err := strconv.ParseInt(e.GetAttributeValue(attrEncryption), 10, 64)
	a.NoAES = err == nil && types != 0 && types&encryptionAES == 0
	return a, nil
}

// rank puts the account with that logon name first.
func rank(e *ldap.Entry, name string) int {
	if strings.EqualFold(e.GetAttributeValue(attrName), name+"$") {
		return 0
	}
	return 1
}

func isGMSA(e *ldap.Entry) bool {
	return slices.ContainsFunc(e.GetAttributeValues(attrClass), func(c string) bool { return strings.EqualFold(c, classGMSA) })
}

// otherClass says what an object is that is no gMSA. The values of objectClass
// go from the most general to the most special one (MS-ADTS 3.1.1.2.4.3).
func otherClass(e *ldap.Entry) string {
	classes := e.GetAttributeValues(attrClass)
	if len(classes) == 0 {
		return e.DN + " is of no class that can be read"
	}
	class := classes[len(classes)-1]
	s := e.DN + " is of class " + class
	for name, words := range map[string]string{
		"msDS-ManagedServiceAccount":          ", a managed service account of one computer",
		"msDS-DelegatedManagedServiceAccount": ", a delegated managed service account, which containers cannot use",
	} {
		if strings.EqualFold(class, name) {
			s += words
		}
	}
	return s
}

// maxGMSAs bounds among how many gMSAs similar names are looked for. An answer
// of that many names has about 100 KiB.
const maxGMSAs = 1000

// noSuchAccount names the gMSAs whose names are like the one that there is not.
func (s *Session) noSuchAccount(ctx context.Context, name string) error {
	found, err := s.search(ctx, s.id.c.baseDN(), ldap.ScopeWholeSubtree, maxGMSAs, "("+attrClass+"="+classGMSA+")", attrName)
	if err != nil {
		return fail(NoSuchAccount, nil) // the list is a help, no more
	}
	var names []string
	for _, e := range found {
		if n := strings.TrimSuffix(e.GetAttributeValue(attrName), "$"); n != "" {
			names = append(names, n)
		}
	}
	switch similar := similarTo(name, names); {
	case len(names) == 0:
		return failf(NoSuchAccount, "the domain has none that this user may see")
	case len(similar) > 0:
		return failf(NoSuchAccount, "similar ones are %s", strings.Join(similar, ", "))
	}
	return fail(NoSuchAccount, nil)
}

// similarTo returns the few names that are most like name, if they are: that
// differ in at most a third of the characters, or contain it or are contained.
func similarTo(name string, names []string) []string {
	const most = 5
	type scored struct {
		name string
		far  int
	}
	var near []scored
	want := strings.ToLower(name)
	for _, n := range names {
		have := strings.ToLower(n)
		far := distance([]rune(want), []rune(have))
		if 3*far <= max(len(want), len(have)) || strings.Contains(have, want) || strings.Contains(want, have) {
			near = append(near, scored{n, far})
		}
	}
	slices.SortFunc(near, func(a, b scored) int { return cmp.Or(a.far-b.far, strings.Compare(a.name, b.name)) })
	var out []string
	for _, s := range near[:min(len(near), most)] {
		out = append(out, s.name)
	}
	return out
}

// distance is how many characters have to be inserted, removed or replaced to
// make b of a (Levenshtein). Names are cut to what a logon name may have.
func distance(a, b []rune) int {
	const longest = 64
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range b {
			change := diagonal
			if x != y {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
