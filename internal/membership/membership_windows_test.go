package membership

import (
	"testing"

	"golang.org/x/sys/windows"
)

func TestWindowsNumbersAreOurs(t *testing.T) {
	for ours, theirs := range map[status]uint32{
		unknown: windows.NetSetupUnknownStatus, unjoined: windows.NetSetupUnjoined,
		workgroup: windows.NetSetupWorkgroupName, domain: windows.NetSetupDomainName,
	} {
		if uint32(ours) != theirs {
			t.Errorf("%d is %d to Windows", ours, theirs)
		}
	}
}

// Under Wine the host is in a workgroup. Of another host it is not known here
// what it is, but that it is one of the four, and that the answer follows.
func TestWindowsSaysWhetherTheHostIsAMember(t *testing.T) {
	s, err := ask()
	if err != nil || s > domain {
		t.Fatalf("%d, %v", s, err)
	}
	if member, err := OfDomain(); err != nil || member != (s == domain) {
		t.Errorf("%t for %d, %v", member, s, err)
	}
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil && s != workgroup {
		t.Errorf("under Wine the status is %d", s)
	}
}
