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
	f.Fuzz(func(_ *testing.T, b []byte) {
		found, _ := allowedSIDs(b)
		for _, s := range found {
			_ = s.String()
		}
	})
}
