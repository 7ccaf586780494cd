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

var errDescriptor = errors.New("malformed security descriptor")

// allowedSIDs returns whom a self-relative security descriptor (MS-DTYP 2.4.6)
// grants something, in its order and each once.
func allowedSIDs(b []byte) ([]sid, error) {
	le := binary.LittleEndian
	const (
		header, aclHeader, aceHeader = 20, 8, 8
		daclPresent                  = 4
		accessAllowed                = 0
	)
	if len(b) < header {
		return nil, errDescriptor
	}
	offset := int64(le.Uint32(b[16:]))
	if le.Uint16(b[2:])&daclPresent == 0 || offset == 0 {
		return nil, nil
	}
	if offset < header || offset+aclHeader > int64(len(b)) {
		return nil, errDescriptor
	}
	acl := b[offset:]
	size, count := int(le.Uint16(acl[2:])), int(le.Uint16(acl[4:]))
	if size < aclHeader || size > len(acl) {
		return nil, errDescriptor
	}
	var found []sid
	seen := map[string]bool{}
	aces := acl[aclHeader:size]
	for range count {
		if len(aces) < aceHeader {
			return nil, errDescriptor
		}
		kind, length := aces[0], int(le.Uint16(aces[2:]))
		if length < aceHeader || length > len(aces) {
			return nil, errDescriptor
		}
		if kind == accessAllowed {
			id, err := parseSID(aces[aceHeader:length])
			if err != nil {
				return nil, err
			}
			if !seen[string(id)] {
				seen[string(id)] = true
				found = append(found, id)
			}
		}
		aces = aces[length:]
	}
	return found, nil
}
