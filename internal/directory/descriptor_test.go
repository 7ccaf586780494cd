package directory

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Well-known identifiers: BUILTIN\Administrators and Everyone.
var (
	administrators = sid{1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0}
	everyone       = sid{1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}
)

// descriptor is a self-relative security descriptor with an access control list.
func descriptor(aces ...[]byte) []byte {
	le := binary.LittleEndian
	var list []byte
	for _, a := range aces {
		list = append(list, a...)
	}
	b := []byte{1, 0}
	b = le.AppendUint16(b, 0x8004)
	b = append(b, make([]byte, 12)...)
	b = le.AppendUint32(b, 20)
	b = append(b, 4, 0)
	b = le.AppendUint16(b, uint16(8+len(list)))
	b = le.AppendUint16(b, uint16(len(aces)))
	return append(append(b, 0, 0), list...)
}

func ace(kind byte, id sid) []byte {
	b := []byte{kind, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(8+len(id)))
	return append(append(b, 0xff, 1, 0xf, 0), id...)
}

func TestAllowedSIDsAreThoseOfAllowingEntries(t *testing.T) {
	const allow, deny = 0, 1
	got, err := allowedSIDs(descriptor(ace(deny, everyone), ace(allow, administrators), ace(allow, administrators)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range got {
		names = append(names, s.String())
	}
	if diff := cmp.Diff([]string{"S-1-5-32-544"}, names); diff != "" {
		t.Error(diff)
	}
	if s := everyone.String(); s != "S-1-1-0" {
		t.Errorf("everyone is %s", s)
	}
}

func TestMalformedDescriptorsAreRefused(t *testing.T) {
	good := descriptor(ace(0, administrators))
	for n := range good {
		if _, err := allowedSIDs(good[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken", n, len(good))
		}
	}
	for name, b := range map[string][]byte{
		"more entries than there are":  func() []byte { b := descriptor(ace(0, administrators)); b[24] = 2; return b }(),
		"an entry without length":      descriptor(make([]byte, 8)),
		"a SID of version 2":           descriptor(ace(0, sid{2, 0, 0, 0, 0, 0, 0, 0})),
		"a SID longer than its entry":  descriptor(ace(0, sid{1, 15, 0, 0, 0, 0, 0, 5})),
		"an object entry without SID":  descriptor(objectEntry(5, 2, 0, 0x10, administrators[:12])),
		"an object entry cut short":    descriptor([]byte{5, 0, 8, 0, 0x10, 0, 0, 0}),
		"a list beyond the end":        func() []byte { b := descriptor(); b[16] = 0xff; return b }(),
		"a list that begins too early": func() []byte { b := descriptor(); b[16] = 1; return b }(),
	} {
		if got, err := allowedSIDs(b); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestADescriptorWithoutAListAllowsNobodyByName(t *testing.T) {
	if got, err := allowedSIDs(make([]byte, 20)); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzDescriptor(f *testing.F) {
	f.Add(descriptor(ace(0, administrators), ace(1, everyone)))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseAccessList(b)
		for _, s := range l.readers() {
			_ = s.String()
		}
		if allowed, _ := l.decide(map[string]bool{string(everyone): true}); err != nil && allowed {
			t.Error("a malformed descriptor allows")
		}
	})
}

// entry is an entry of a list with a mask and flags of its own.
func entry(kind, flags byte, mask uint32, id sid) []byte {
	b := ace(kind, id)
	b[1] = flags
	binary.LittleEndian.PutUint32(b[4:], mask)
	return b
}

// objectEntry is an entry that can be about a single property, with the flags
// and the GUIDs that these say are there.
func objectEntry(kind byte, flags uint32, guids int, mask uint32, id sid) []byte {
	b := []byte{kind, 0}
	b = binary.LittleEndian.AppendUint16(b, uint16(12+16*guids+len(id)))
	b = binary.LittleEndian.AppendUint32(b, mask)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(b, make([]byte, 16*guids)...)
	return append(b, id...)
}

func TestTheFirstEntryAboutReadingDecides(t *testing.T) {
	const (
		allow, deny, audit        = 0, 1, 2
		object, objectDeny        = 5, 6
		inheritOnly               = 8
		readProperty, readControl = 0x10, 0x20000
		genericAll                = 0x10000000
	)
	token := map[string]bool{string(administrators): true, string(everyone): true}
	other := sid{1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0}
	for name, tt := range map[string]struct {
		list    []byte
		allowed bool
		by      sid
	}{
		"allowed":                       {descriptor(entry(allow, 0, readProperty, administrators)), true, administrators},
		"allowed by a generic right":    {descriptor(entry(allow, 0, genericAll, everyone)), true, everyone},
		"denied before it is allowed":   {descriptor(entry(deny, 0, readProperty, everyone), entry(allow, 0, genericAll, administrators)), false, everyone},
		"allowed before it is denied":   {descriptor(entry(allow, 0, readProperty, administrators), entry(deny, 0, readProperty, everyone)), true, administrators},
		"allowed something else":        {descriptor(entry(allow, 0, readControl, everyone)), false, nil},
		"denied something else":         {descriptor(entry(deny, 0, readControl, everyone), entry(allow, 0, readProperty, everyone)), true, everyone},
		"somebody else is allowed":      {descriptor(entry(allow, 0, readProperty, other)), false, nil},
		"for children only":             {descriptor(entry(allow, inheritOnly, readProperty, everyone)), false, nil},
		"an audit is no permission":     {descriptor(entry(audit, 0, readProperty, everyone)), false, nil},
		"a property's is no permission": {descriptor(objectEntry(object, 1, 1, readProperty, everyone)), false, nil},
		"all properties' is one":        {descriptor(objectEntry(object, 0, 0, readProperty, everyone)), true, everyone},
		"inherited from a class, too":   {descriptor(objectEntry(object, 2, 1, readProperty, everyone)), true, everyone},
		"denied all properties":         {descriptor(objectEntry(objectDeny, 0, 0, readProperty, everyone), entry(allow, 0, genericAll, administrators)), false, everyone},
		"denied one property":           {descriptor(objectEntry(objectDeny, 1, 1, readProperty, everyone), entry(allow, 0, genericAll, administrators)), true, administrators},
		"an empty list":                 {descriptor(), false, nil},
		"no list at all":                {make([]byte, 20), true, nil},
	} {
		l, err := parseAccessList(tt.list)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		allowed, by := l.decide(token)
		if allowed != tt.allowed || string(by) != string(tt.by) {
			t.Errorf("%s: %t by %v", name, allowed, by)
		}
	}
}

func TestGUIDsAreWrittenAsWindowsWritesThem(t *testing.T) {
	// The binary form of the GUID below, MS-DTYP 2.3.4.2.
	b := []byte{0xae, 0x18, 0x48, 0x24, 0xac, 0x87, 0xcd, 0x4f, 0x92, 0xec, 0xe7, 0x9e, 0x52, 0x52, 0x34, 0x8a}
	if got, err := guidString(b); err != nil || got != "244818ae-87ac-4fcd-92ec-e79e5252348a" {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := guidString(b[:15]); err == nil {
		t.Errorf("a GUID of 15 bytes is %s", got)
	}
}
