package ccgplugin

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// O:BAG:BAD:(A;;0xb;;;SY)(A;;0xb;;;SU)(A;;0xb;;;BA), as Windows lays it out.
const windowsBytes = "\x01\x00\x04\x80\x5c\x00\x00\x00\x6c\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00" +
	"\x02\x00\x48\x00\x03\x00\x00\x00" +
	"\x00\x00\x14\x00\x0b\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x05\x12\x00\x00\x00" +
	"\x00\x00\x14\x00\x0b\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x05\x06\x00\x00\x00" +
	"\x00\x00\x18\x00\x0b\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x05\x20\x00\x00\x00\x20\x02\x00\x00" +
	"\x01\x02\x00\x00\x00\x00\x00\x05\x20\x00\x00\x00\x20\x02\x00\x00" +
	"\x01\x02\x00\x00\x00\x00\x00\x05\x20\x00\x00\x00\x20\x02\x00\x00"

func TestADescriptorIsTheSameInEveryLayout(t *testing.T) {
	theirs, err := readDescriptor([]byte(windowsBytes))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := readDescriptor(callers.bytes())
	if err != nil {
		t.Fatal(err)
	}
	if string(callers.bytes()) == windowsBytes {
		t.Error("the layouts are the same: the comparison below is void")
	}
	if !theirs.sameAccess(ours) || theirs.differs(ours) != "" || theirs.String() != ours.String() {
		t.Errorf("%s and %s", theirs, ours)
	}
}

func TestADifferenceOfAccessIsPutIntoWords(t *testing.T) {
	with := func(list ...access) descriptor { return descriptor{owner: sidAdministrators, list: list} }
	system, service, admins := callers.list[0], callers.list[1], callers.list[2]
	for says, d := range map[string]descriptor{
		"does not allow SERVICE (S-1-5-6) 0xb":                                                with(system, admins),
		"does not allow SYSTEM (S-1-5-18) 0x8":                                                with(access{aceAllow, 0, 3, sidSystem}, service, admins),
		"allows Everyone (S-1-1-0) 0xb too":                                                   with(system, service, admins, access{aceAllow, 0, 0xb, "S-1-1-0"}),
		"allows SYSTEM (S-1-5-18) 0x14 too":                                                   with(access{aceAllow, 0, 0x1f, sidSystem}, service, admins),
		"denies SERVICE (S-1-5-6) 0xb":                                                        with(access{aceDeny, 0, 0xb, sidService}, system, service, admins),
		"belongs to S-1-5-21-1-2-3-500, not to Administrators (S-1-5-32-544)":                 {owner: "S-1-5-21-1-2-3-500", list: callers.list},
		"has no access list: everybody may do everything":                                     {owner: sidAdministrators, open: true},
		"is O:S-1-5-32-544D:(A;;0xb;;;S-1-5-32-544)(A;;0xb;;;S-1-5-18)(A;;0xb;;;S-1-5-6), no": with(admins, system, service),
	} {
		if got := d.differs(callers); !strings.HasPrefix(got, says) {
			t.Errorf("%s: got %q, want %q", d, got, says)
		}
	}
}

func TestADescriptorThatIsNoneIsRefused(t *testing.T) {
	for n := range len(windowsBytes) {
		// Whatever is cut off is missed, but for the group, which is not read.
		_, err := readDescriptor([]byte(windowsBytes[:n]))
		if n < len(windowsBytes)-16 && !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
}

func FuzzReadDescriptor(f *testing.F) {
	f.Add([]byte(windowsBytes))
	f.Add(callers.bytes())
	f.Add(windowsOwn.bytes())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := readDescriptor(b)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("got %v", err)
			}
			return
		}
		_, _ = d.String(), d.differs(callers)
		for _, sid := range d.closed().strangers(changeRights) {
			t.Errorf("%s is still open to %s", d, sid)
		}
		if d.owner == "" || d.open {
			return
		}
		for _, a := range d.list {
			if a.sid == "" || a.kind == aceAllowCallback {
				return // cannot be written
			}
		}
		again, err := readDescriptor(d.bytes())
		if err != nil || !again.sameAccess(d) {
			t.Errorf("%s became %s, %v", d, again, err)
		}
	})
}

func TestServicesMayReadAFileThatAGroupOfTheirsMay(t *testing.T) {
	const read, readExecute = 0x120089, 0x1200a9
	for _, c := range []struct {
		name string
		list []access
		want bool
	}{
		{"nobody", nil, false},
		{"SYSTEM and administrators", []access{{aceAllow, 0, keyAll, sidSystem}, {aceAllow, 0, ^uint32(0), sidAdministrators}}, false},
		{"Users", []access{{aceAllow, aceInherited, readExecute, "S-1-5-32-545"}}, true},
		{"Users, without executing", []access{{aceAllow, 0, read, "S-1-5-32-545"}}, false},
		{"SERVICE, generically", []access{{aceAllow, 0, 0xA0000000, sidService}}, true},
		{"Everyone, everything", []access{{aceAllow, 0, 0x10000000, "S-1-1-0"}}, true},
		{"two groups together", []access{{aceAllow, 0, read, "S-1-1-0"}, {aceAllow, 0, 0x20, "S-1-5-11"}}, true},
		{"only what is made in it", []access{{aceAllow, aceInheritOnly, readExecute, "S-1-5-32-545"}}, false},
		{"denied first", []access{{aceDeny, 0, 0x1, sidService}, {aceAllow, 0, readExecute, "S-1-5-32-545"}}, false},
	} {
		got, err := ServicesMay(descriptor{owner: sidSystem, list: c.list}.bytes(), 0x21)
		if err != nil || got != c.want {
			t.Errorf("%s: got %t, %v", c.name, got, err)
		}
	}
	if _, err := ServicesMay([]byte("x"), 1); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}
