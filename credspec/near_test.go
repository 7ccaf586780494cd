package credspec

import (
	"strings"
	"testing"
)

func TestNearestIsASlipOfThePenAway(t *testing.T) {
	known := []string{"Sid", "Guid", "DnsName", "DnsTreeName", "NetBiosName", "MachineAccountName"}
	for s, want := range map[string]string{
		"SID": "Sid", "Sids": "Sid", "Guiid": "Guid", "DNSName": "DnsName", "DnsNmae": "DnsName", "NetBIOSNames": "NetBiosName",
		"MachineAcountName": "MachineAccountName", "MachineAcountNames": "MachineAccountName",
		"": "", "Si": "Sid", "Siddy": "", "Name": "", "TreeName": "", "Description": "",
		strings.Repeat("x", 1<<20): "",
	} {
		if got, ok := nearest(s, known...); got != want || ok != (want != "") {
			t.Errorf("nearest(%.40q) = %q, want %q", s, got, want)
		}
	}
}

func TestDistanceCountsSlips(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "a", 0}, {"a", "b", 1}, {"ab", "ba", 1}, {"abc", "ac", 1}, {"ac", "abc", 1}, {"abcd", "badc", 2}, {"kitten", "sitting", 3}, {"", "ab", 2},
	} {
		if got := distance(tt.a, tt.b, 9); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
