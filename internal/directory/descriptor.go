package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// sid is a binary security identifier (MS-DTYP 2.4.2.2).
type sid []byte

// String is S-1-5-21-….
func (s sid) String() string {
	authority := uint64(binary.BigEndian.Uint16(s[2:]))<<32 | uint64(binary.BigEndian.Uint32(s[4:]))
	var b strings.Builder
	fmt.Fprintf(&b, "S-%d-%d", s[0], authority)
	for i := 8; i+4 <= len(s); i += 4 {
		fmt.Fprintf(&b, "-%d", binary.LittleEndian.Uint32(s[i:]))
	}
	return b.String()
}

// parseSID takes the SID off the front of b.
func parseSID(b []byte) (sid, error) {
	const maxSubAuthorities = 15
	if len(b) < 8 || b[0] != 1 || b[1] > maxSubAuthorities || len(b) < 8+4*int(b[1]) {
		return nil, errors.New("malformed SID")
	}
	return sid(b[:8+4*int(b[1])]), nil
}

// guidString writes a binary GUID (MS-DTYP 2.3.4.2): the first three fields are
// little-endian, the rest are bytes in their order.
func guidString(b []byte) (string, error) {
	if len(b) != 16 {
		return "", fmt.Errorf("a GUID of %d bytes", len(b))
	}
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:]), nil
}

var errDescriptor = errors.New("malformed security descriptor")

// accessList is the discretionary access control list of a security descriptor.
type accessList struct {
	open    bool // there is none, which allows everybody everything (MS-DTYP 2.5.3.2)
	entries []accessEntry
}

// accessEntry allows or denies one trustee something.
type accessEntry struct {
	deny    bool
	mask    uint32
	trustee sid
}

// The bits of an access mask that let somebody read a property (MS-ADTS
// 5.1.3.2): the right itself, and the generic ones that stand for it.
const rightsToRead = 0x00000010 | 0x10000000 | 0x80000000

func (e accessEntry) aboutReading() bool { return e.mask&rightsToRead != 0 }

// parseAccessList takes the list out of a self-relative security descriptor
// (MS-DTYP 2.4.6). Entries that only children inherit, and those that are about
// single properties, about auditing or conditional, do not decide and are left
// out.
func parseAccessList(b []byte) (accessList, error) {
	le := binary.LittleEndian
	const (
		header, aclHeader, aceHeader = 20, 8, 8
		daclPresent                  = 4
		accessAllowed, accessDenied  = 0, 1
		objectAllowed, objectDenied  = 5, 6
		inheritOnly                  = 8
	)
	if len(b) < header {
		return accessList{}, errDescriptor
	}
	offset := int64(le.Uint32(b[16:]))
	if le.Uint16(b[2:])&daclPresent == 0 || offset == 0 {
		return accessList{open: true}, nil
	}
	if offset < header || offset+aclHeader > int64(len(b)) {
		return accessList{}, errDescriptor
	}
	acl := b[offset:]
	size, count := int(le.Uint16(acl[2:])), int(le.Uint16(acl[4:]))
	if size < aclHeader || size > len(acl) {
		return accessList{}, errDescriptor
	}
	var found accessList
	aces := acl[aclHeader:size]
	for range count {
		if len(aces) < aceHeader {
			return accessList{}, errDescriptor
		}
		kind, flags, length := aces[0], aces[1], int(le.Uint16(aces[2:]))
		if length < aceHeader || length > len(aces) {
			return accessList{}, errDescriptor
		}
		trustee := aces[aceHeader:length]
		decides := flags&inheritOnly == 0
		switch kind {
		case accessAllowed, accessDenied:
		case objectAllowed, objectDenied:
			var whole bool
			if trustee, whole = ofObject(trustee); trustee == nil {
				return accessList{}, errDescriptor
			}
			decides = decides && whole
		default:
			decides = false
		}
		if decides {
			id, err := parseSID(trustee)
			if err != nil {
				return accessList{}, err
			}
			found.entries = append(found.entries, accessEntry{kind == accessDenied || kind == objectDenied, le.Uint32(aces[4:]), id})
		}
		aces = aces[length:]
	}
	return found, nil
}

// ofObject passes over what an object entry has before its SID (MS-DTYP
// 2.4.4.3), and says whether the entry is about the whole object rather than a
// property of it. It returns nil where that is cut short.
func ofObject(b []byte) (trustee []byte, whole bool) {
	const flagsSize, guidSize = 4, 16
	const hasType, hasInheritedType = 1, 2
	if len(b) < flagsSize {
		return nil, false
	}
	flags, skip := binary.LittleEndian.Uint32(b), flagsSize
	if flags&hasType != 0 {
		skip += guidSize
	}
	if flags&hasInheritedType != 0 {
		skip += guidSize
	}
	if len(b) < skip {
		return nil, false
	}
	return b[skip:], flags&hasType == 0
}

// readers are whom the list allows to read, in its order and each once.
func (l accessList) readers() []sid {
	var found []sid
	seen := map[string]bool{}
	for _, e := range l.entries {
		if !e.deny && e.aboutReading() && !seen[string(e.trustee)] {
			seen[string(e.trustee)] = true
			found = append(found, e.trustee)
		}
	}
	return found
}

// decide says whether somebody with these SIDs may read, and by which entry:
// the first that is about reading and about one of the SIDs (MS-DTYP 2.5.3.2;
// one right is asked for, so that no later entry can change it). by is nil if
// none is.
func (l accessList) decide(token map[string]bool) (allowed bool, by sid) {
	for _, e := range l.entries {
		if e.aboutReading() && token[string(e.trustee)] {
			return !e.deny, e.trustee
		}
	}
	return l.open, nil
}

// allowedSIDs returns whom a security descriptor grants reading.
func allowedSIDs(b []byte) ([]sid, error) {
	l, err := parseAccessList(b)
	return l.readers(), err
}
