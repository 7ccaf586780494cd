package directory

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

func TestStatusIsFoundInBothFormsOfErrorData(t *testing.T) {
	for name, tt := range map[string]struct {
		data string
		want uint32
	}{
		"a sequence of data, as from Samba":    {"30173015a103020103a20e040c720000c00000000001000000", 0xC0000072},
		"one KERB-ERROR-DATA, as from Windows": {"3015a103020103a20e040c930100c00000000001000000", 0xC0000193},
		"data of another type":                 {"3015a103020101a20e040c930100c00000000001000000", 0},
		"data of another length":               {"300da103020103a20604047200 00c0", 0},
		"nothing":                              {"", 0},
		"garbage":                              {"3080ffff", 0},
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(tt.data, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := statusOf(b); got != tt.want {
			t.Errorf("%s: %#x, want %#x", name, got, tt.want)
		}
	}
}

func TestWithoutAStatusTheKindIsAsGoodAsTheCode(t *testing.T) {
	for code, want := range map[int32]Kind{
		errClientUnknown: UnknownUser, errServiceUnknown: NoSuchService, errPolicy: AccountRestricted,
		errNoEType: NoAESKey, errClientRevoked: AccountRestricted, errKeyExpired: PasswordExpired,
		errPreauthFailed: WrongPassword, errSkew: ClockSkew, 60: Refused,
	} {
		var f *failure
		if err := (&kdcError{code: code}).failure(); !errors.As(err, &f) || f.kind != want {
			t.Errorf("code %d: %v", code, err)
		}
	}
}

func TestEveryStatusHasAKindThatSaysMoreThanTheCode(t *testing.T) {
	for status, s := range statuses {
		var f *failure
		err := (&kdcError{code: errClientRevoked, status: status}).failure()
		if !errors.As(err, &f) || f.kind != s.kind || !strings.Contains(err.Error(), s.name) {
			t.Errorf("%#x: %v", status, err)
		}
	}
}

func TestTheClocksDifferenceIsMeasured(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	for off, words := range map[time.Duration]string{
		10 * time.Minute:  "10m0s ahead of",
		-90 * time.Second: "1m30s behind",
	} {
		e := messages.NewKRBError(types.PrincipalName{NameType: 2, NameString: []string{"krbtgt", "X"}}, "X", errSkew, "")
		theirs := now.Add(off)
		e.STime, e.Susec = theirs.Truncate(time.Second), theirs.Nanosecond()/1000
		b, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got := parseKRBError(b, now).failure().Error(); !strings.Contains(got, words) {
			t.Errorf("%v: %s", off, got)
		}
	}
}

func TestEveryKindHasWordsAndAFault(t *testing.T) {
	for k := Refused; k <= NoSuchService; k++ {
		e := &Error{Op: "try", Domain: "contoso.com", Kind: k}
		if kinds[k].fault == nil || !errors.Is(e, kinds[k].fault) || strings.HasPrefix(k.String(), "kind ") {
			t.Errorf("kind %d: %v", k, e)
		}
	}
	if s := Kind(-1).String(); s != "kind -1" {
		t.Errorf("an unknown kind is %q", s)
	}
}

func TestEveryKindIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/directory.md")
	if err != nil {
		t.Fatal(err)
	}
	for k := Refused; k <= NoSuchService; k++ {
		if !strings.Contains(string(page), "| "+k.String()+" |") {
			t.Errorf("docs/directory.md has no row %q", k)
		}
	}
}
