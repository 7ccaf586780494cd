package ccgplugin

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Accounts that the registration's access lists speak of.
const (
	sidSystem           = "S-1-5-18"
	sidService          = "S-1-5-6"
	sidAdministrators   = "S-1-5-32-544"
	sidCreatorOwner     = "S-1-3-0"
	sidOwnerRights      = "S-1-3-4"
	sidTrustedInstaller = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
)

// accounts are names that an administrator knows them by.
var accounts = map[string]string{
	sidSystem: "SYSTEM", sidService: "SERVICE", sidAdministrators: "Administrators", sidTrustedInstaller: "TrustedInstaller",
	"S-1-1-0": "Everyone", "S-1-5-11": "Authenticated Users", "S-1-5-4": "INTERACTIVE", "S-1-5-7": "ANONYMOUS LOGON",
	"S-1-5-19": "LOCAL SERVICE", "S-1-5-20": "NETWORK SERVICE", "S-1-5-32-545": "Users", "S-1-5-32-546": "Guests",
}

// account is a SID with its name, if it is a well-known one.
func account(sid string) string {
	if name, ok := accounts[sid]; ok {
		return name + " (" + sid + ")"
	}
	return sid
}

// access is one entry of an access list.
type access struct {
	kind, flags byte
	mask        uint32
	sid         string // empty for kinds of entries that are not looked into
}

// Kinds and flags of entries.
//
// https://learn.microsoft.com/openspecs/windows_protocols/ms-dtyp/628ebb1d-c509-4ea0-a10f-77ef97ca4586
const (
	aceAllow         = 0x00
	aceDeny          = 0x01
	aceAllowCallback = 0x09 // with a condition behind its SID

	aceInheritOnly = 0x08
	aceInherited   = 0x10
)

// descriptor is what a security descriptor says of owner and access.
type descriptor struct {
	owner     string
	open      bool // no access list at all: everybody may do everything
	protected bool // inherits nothing
	list      []access
}

// Control flags, and the sizes of the parts of a descriptor in bytes.
//
// https://learn.microsoft.com/openspecs/windows_protocols/ms-dtyp/7d4dac05-9cef-4563-a058-f108abecce1d
const (
	seDaclPresent   = 0x0004
	seDaclProtected = 0x1000
	seSelfRelative  = 0x8000

	descriptorHeader = 20
	aclHeader        = 8
	aceHeader        = 8 // with the mask
	sidHeader        = 8
	maxSubAuthority  = 15
)

// readDescriptor reads a self-relative security descriptor, as the registry
// holds it. Whoever may write to the key has written it: nothing in it is
// believed.
func readDescriptor(b []byte) (d descriptor, err error) {
	if len(b) < descriptorHeader || b[0] != 1 {
		return d, fmt.Errorf("a security descriptor: %w: it has %d bytes, or is of another revision", fault.ErrMalformed, len(b))
	}
	control := binary.LittleEndian.Uint16(b[2:])
	if control&seSelfRelative == 0 {
		return d, fmt.Errorf("a security descriptor: %w: it is not self-relative", fault.ErrMalformed)
	}
	d.protected = control&seDaclProtected != 0
	if at := binary.LittleEndian.Uint32(b[4:]); at != 0 {
		if d.owner, _, err = readSID(from(b, at)); err != nil {
			return d, fmt.Errorf("a security descriptor's owner: %w", err)
		}
	}
	at := binary.LittleEndian.Uint32(b[16:])
	if control&seDaclPresent == 0 || at == 0 {
		d.open = true
		return d, nil
	}
	if d.list, err = readACL(from(b, at)); err != nil {
		return d, fmt.Errorf("a security descriptor's access list: %w", err)
	}
	return d, nil
}

// from is b from an offset that somebody else wrote.
func from(b []byte, at uint32) []byte {
	if uint64(at) > uint64(len(b)) {
		return nil
	}
	return b[at:]
}

func readACL(b []byte) ([]access, error) {
	if len(b) < aclHeader {
		return nil, fmt.Errorf("%w: it is cut off", fault.ErrMalformed)
	}
	count := int(binary.LittleEndian.Uint16(b[4:]))
	rest := b[aclHeader:]
	var list []access
	for i := range count {
		if len(rest) < aceHeader {
			return nil, fmt.Errorf("%w: entry %d is cut off", fault.ErrMalformed, i)
		}
		size := int(binary.LittleEndian.Uint16(rest[2:]))
		if size < aceHeader || size > len(rest) {
			return nil, fmt.Errorf("%w: entry %d has %d bytes", fault.ErrMalformed, i, size)
		}
		a := access{kind: rest[0], flags: rest[1], mask: binary.LittleEndian.Uint32(rest[4:])}
		if a.kind == aceAllow || a.kind == aceDeny || a.kind == aceAllowCallback {
			var err error
			if a.sid, _, err = readSID(rest[aceHeader:size]); err != nil {
				return nil, fmt.Errorf("entry %d: %w", i, err)
			}
		}
		list = append(list, a)
		rest = rest[size:]
	}
	return list, nil
}

func readSID(b []byte) (sid string, size int, err error) {
	if len(b) < sidHeader || b[0] != 1 || b[1] > maxSubAuthority || len(b) < sidHeader+4*int(b[1]) {
		return "", 0, fmt.Errorf("%w: a SID is cut off or of another revision", fault.ErrMalformed)
	}
	var authority uint64
	for _, digit := range b[2:8] {
		authority = authority<<8 | uint64(digit)
	}
	sid = "S-1-" + strconv.FormatUint(authority, 10)
	for i := range int(b[1]) {
		sid += "-" + strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b[sidHeader+4*i:])), 10)
	}
	return sid, sidHeader + 4*int(b[1]), nil
}

// bytes is d as a self-relative descriptor whose group is its owner. Only
// entries that allow or deny can be written.
func (d descriptor) bytes() []byte {
	owner := writeSID(d.owner)
	acl := make([]byte, aclHeader)
	acl[0] = 2 // ACL_REVISION
	for _, a := range d.list {
		sid := writeSID(a.sid)
		ace := []byte{a.kind, a.flags}
		ace = binary.LittleEndian.AppendUint16(ace, uint16(aceHeader+len(sid)))
		ace = binary.LittleEndian.AppendUint32(ace, a.mask)
		acl = append(append(acl, ace...), sid...)
	}
	binary.LittleEndian.PutUint16(acl[2:], uint16(len(acl)))
	binary.LittleEndian.PutUint16(acl[4:], uint16(len(d.list)))

	control := uint16(seSelfRelative | seDaclPresent)
	if d.protected {
		control |= seDaclProtected
	}
	b := make([]byte, descriptorHeader)
	b[0] = 1
	binary.LittleEndian.PutUint16(b[2:], control)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	b = append(b, owner...)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)))
	b = append(b, owner...)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(b)))
	return append(b, acl...)
}

// writeSID is for SIDs that stand in this package or were read by it.
func writeSID(sid string) []byte {
	parts := strings.Split(sid, "-")
	number := func(i int) uint64 {
		n, _ := strconv.ParseUint(parts[i], 10, 64)
		return n
	}
	b := []byte{1, byte(len(parts) - 3)}
	b = append(b, binary.BigEndian.AppendUint64(nil, number(2))[2:]...)
	for i := 3; i < len(parts); i++ {
		b = binary.LittleEndian.AppendUint32(b, uint32(number(i)))
	}
	return b
}

// String is SDDL, with SIDs in full.
func (d descriptor) String() string {
	var b strings.Builder
	b.WriteString("O:" + d.owner + "D:")
	if d.protected {
		b.WriteString("P")
	}
	if d.open {
		b.WriteString("NO_ACCESS_CONTROL")
	}
	for _, a := range d.list {
		kind, ok := map[byte]string{aceAllow: "A", aceDeny: "D", aceAllowCallback: "XA"}[a.kind]
		if !ok {
			kind = fmt.Sprintf("%#x", a.kind)
		}
		fmt.Fprintf(&b, "(%s;%s;%#x;;;%s)", kind, inheritance(a.flags), a.mask, a.sid)
	}
	return b.String()
}

func inheritance(flags byte) string {
	var s string
	for i, name := range []string{"OI", "CI", "NP", "IO", "ID"} {
		if flags&(1<<i) != 0 {
			s += name
		}
	}
	return s
}

// sameAccess says whether two descriptors give the same people the same, owner
// included. Which layout they have, and whether Windows noted how an entry came
// there, does not matter.
func (d descriptor) sameAccess(other descriptor) bool {
	plain := func(list []access) []access {
		list = slices.Clone(list)
		for i := range list {
			list[i].flags &^= aceInherited
		}
		return list
	}
	return d.owner == other.owner && d.open == other.open && slices.Equal(plain(d.list), plain(other.list))
}

// differs says in words how d gives other access than want does.
func (d descriptor) differs(want descriptor) string {
	var said []string
	if d.open {
		return "has no access list: everybody may do everything"
	}
	if d.owner != want.owner {
		said = append(said, "belongs to "+account(d.owner)+", not to "+account(want.owner))
	}
	given := func(d descriptor, kind byte, sid string) (mask uint32) {
		for _, a := range d.list {
			if a.kind == kind && a.sid == sid {
				mask |= a.mask
			}
		}
		return mask
	}
	for _, a := range want.list {
		if missing := a.mask &^ given(d, aceAllow, a.sid); missing != 0 {
			said = append(said, fmt.Sprintf("does not allow %s %#x", account(a.sid), missing))
		}
	}
	var seen []string
	for _, a := range d.list {
		key := fmt.Sprint(a.kind, a.sid)
		if slices.Contains(seen, key) {
			continue
		}
		seen = append(seen, key)
		switch a.kind {
		case aceAllow, aceAllowCallback:
			if more := given(d, a.kind, a.sid) &^ given(want, aceAllow, a.sid); more != 0 {
				said = append(said, fmt.Sprintf("allows %s %#x too", account(a.sid), more))
			}
		case aceDeny:
			said = append(said, fmt.Sprintf("denies %s %#x", account(a.sid), given(d, a.kind, a.sid)))
		default:
			said = append(said, fmt.Sprintf("has an entry of kind %#x", a.kind))
		}
	}
	if said == nil && !d.sameAccess(want) {
		said = append(said, "is "+d.String()+", not "+want.String())
	}
	return strings.Join(said, ", ")
}
