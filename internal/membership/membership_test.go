package membership

import "testing"

func TestOnlyADomainIsADomain(t *testing.T) {
	for s, want := range map[status]bool{unknown: false, unjoined: false, workgroup: false, domain: true, domain + 1: false} {
		if s.ofDomain() != want {
			t.Errorf("status %d: %t", s, !want)
		}
	}
}
