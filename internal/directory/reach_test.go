package directory

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// refusesAt refuses everybody, by a clock of its own.
func refusesAt(ahead time.Duration) *fakeKDC {
	return &fakeKDC{raw: func(conn net.Conn) {
		e := messages.NewKRBError(types.PrincipalName{NameType: 2, NameString: []string{"krbtgt", "CONTOSO.COM"}}, "CONTOSO.COM", errClientUnknown, "")
		e.STime = e.STime.Add(ahead)
		b, err := e.Marshal()
		if err != nil {
			return
		}
		answerWith(conn, append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	}}
}

func TestARefusalTellsTheControllersTime(t *testing.T) {
	for _, ahead := range []time.Duration{0, 3 * time.Minute, -2 * time.Minute} {
		c, dc := refusesAt(ahead).start(t)
		got, err := c.Clock(t.Context(), dc)
		if err != nil || max(got-ahead, ahead-got) > 10*time.Second {
			t.Errorf("%v ahead: %v, %v", ahead, got, err)
		}
	}
	for ahead, says := range map[time.Duration]string{time.Hour: "ahead of", -time.Hour: "behind"} {
		c, dc := refusesAt(ahead).start(t)
		if _, err := c.Clock(t.Context(), dc); kindOf(t, err) != ClockSkew || !strings.Contains(err.Error(), says) {
			t.Errorf("%v ahead: %v", ahead, err)
		}
	}
}

func TestAKDCThatWantsAProofTellsItsTime(t *testing.T) {
	c, dc := (&fakeKDC{}).start(t)
	if ahead, err := c.Clock(t.Context(), dc); err != nil || max(ahead, -ahead) > 10*time.Second {
		t.Errorf("%v, %v", ahead, err)
	}
}

func TestASilentControllerHasNoTimeAndNoTransport(t *testing.T) {
	c, dc := (&fakeKDC{raw: func(net.Conn) {}}).start(t)
	if _, err := c.Clock(t.Context(), dc); kindOf(t, err) != Unreachable {
		t.Errorf("%v", err)
	}
	c.ports.ldap, c.ports.ldaps = "1", "1"
	if _, err := c.Transport(t.Context(), dc); kindOf(t, err) != Unreachable {
		t.Errorf("%v", err)
	}
}

func TestWithoutTLSTheOtherPortIsToBeSealed(t *testing.T) {
	c, dc := (&fakeKDC{raw: func(net.Conn) {}}).start(t)
	c.ports.ldap, c.ports.ldaps = c.ports.kerberos, "1"
	if got, err := c.Transport(t.Context(), dc); err != nil || !strings.HasPrefix(got, "LDAP sealed with Kerberos (LDAPS: ") {
		t.Errorf("%q, %v", got, err)
	}
}
