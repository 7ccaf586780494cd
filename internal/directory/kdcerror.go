package directory

import (
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"time"
)

// kdcError is what a KDC answered instead of a ticket.
type kdcError struct {
	code   int32
	status uint32        // NTSTATUS from the error's data; 0 if it had none
	ahead  time.Duration // how far the KDC's clock is ahead of ours
	data   []byte        // e-data
}

// Error codes of RFC 4120 7.5.9 that this package tells apart.
const (
	errClientUnknown   = 6
	errServiceUnknown  = 7
	errPolicy          = 12
	errNoEType         = 14
	errClientRevoked   = 18
	errKeyExpired      = 23
	errPreauthFailed   = 24
	errPreauthRequired = 25
	errSkew            = 37
	errWrongRealm      = 68
)

var kdcCodes = map[int32]string{
	errClientUnknown: "KDC_ERR_C_PRINCIPAL_UNKNOWN", errServiceUnknown: "KDC_ERR_S_PRINCIPAL_UNKNOWN",
	errPolicy: "KDC_ERR_POLICY", errNoEType: "KDC_ERR_ETYPE_NOSUPP", errClientRevoked: "KDC_ERR_CLIENT_REVOKED",
	errKeyExpired: "KDC_ERR_KEY_EXPIRED", errPreauthFailed: "KDC_ERR_PREAUTH_FAILED",
	errPreauthRequired: "KDC_ERR_PREAUTH_REQUIRED", errSkew: "KRB_AP_ERR_SKEW", errWrongRealm: "KDC_ERR_WRONG_REALM",
}

// Status values of MS-ERREF 2.3.1 that a KDC gives as the reason, and what they mean here.
var statuses = map[uint32]struct {
	name string
	kind Kind
}{
	0xC0000064: {"STATUS_NO_SUCH_USER", UnknownUser},
	0xC000006A: {"STATUS_WRONG_PASSWORD", WrongPassword},
	0xC000006D: {"STATUS_LOGON_FAILURE", WrongPassword},
	0xC000006E: {"STATUS_ACCOUNT_RESTRICTION", AccountRestricted},
	0xC000006F: {"STATUS_INVALID_LOGON_HOURS", LogonHours},
	0xC0000070: {"STATUS_INVALID_WORKSTATION", Workstation},
	0xC0000071: {"STATUS_PASSWORD_EXPIRED", PasswordExpired},
	0xC0000072: {"STATUS_ACCOUNT_DISABLED", AccountDisabled},
	0xC0000133: {"STATUS_TIME_DIFFERENCE_AT_DC", ClockSkew},
	0xC0000193: {"STATUS_ACCOUNT_EXPIRED", AccountExpired},
	0xC0000224: {"STATUS_PASSWORD_MUST_CHANGE", MustChangePassword},
	0xC0000234: {"STATUS_ACCOUNT_LOCKED_OUT", AccountLocked},
	0xC00002FA: {"STATUS_SMARTCARD_LOGON_REQUIRED", SmartCardRequired},
}

// Error is the code and the status by their names.
func (e *kdcError) Error() string {
	s := kdcCodes[e.code]
	if s == "" {
		s = "Kerberos error"
	}
	s = fmt.Sprintf("%s (%d)", s, e.code)
	if e.status != 0 {
		if name := statuses[e.status].name; name != "" {
			s += " " + name
		} else {
			s += fmt.Sprintf(" status %#x", e.status)
		}
	}
	return s
}

// failure gives the error its kind. The status, which says more, goes before the code.
func (e *kdcError) failure() error {
	kind := Refused
	switch e.code {
	case errClientUnknown:
		kind = UnknownUser
	case errServiceUnknown:
		kind = NoSuchService
	case errPolicy, errClientRevoked:
		kind = AccountRestricted
	case errNoEType:
		kind = NoAESKey
	case errKeyExpired:
		kind = PasswordExpired
	case errPreauthFailed:
		kind = WrongPassword
	case errSkew:
		return fail(ClockSkew, fmt.Errorf("%s: %w", skew(e.ahead), e))
	}
	if s, ok := statuses[e.status]; ok {
		kind = s.kind
	}
	if max(e.ahead, -e.ahead) > usualSkew {
		return fail(kind, fmt.Errorf("%w; besides, %s", e, skew(e.ahead)))
	}
	return fail(kind, e)
}

// usualSkew is what a domain tolerates unless its policy says otherwise.
const usualSkew = 5 * time.Minute

func skew(ahead time.Duration) string {
	if ahead < 0 {
		return fmt.Sprintf("the domain controller's clock is %v behind this computer's", -ahead.Round(time.Second))
	}
	return fmt.Sprintf("the domain controller's clock is %v ahead of this computer's", ahead.Round(time.Second))
}

// statusOf finds the NTSTATUS in the data of a KRB-ERROR. Windows sends a
// KERB-ERROR-DATA (MS-KILE 2.2.2), Samba a sequence of pre-authentication data
// of type 3 with the same content.
func statusOf(data []byte) uint32 {
	type typed struct {
		Type  int    `asn1:"explicit,tag:1"`
		Value []byte `asn1:"explicit,tag:2,optional"`
	}
	const extended = 3 // KERB_ERR_TYPE_EXTENDED; also PA-PW-SALT
	var one typed
	var many []typed
	if rest, err := asn1.Unmarshal(data, &many); err != nil || len(rest) > 0 {
		if rest, err := asn1.Unmarshal(data, &one); err != nil || len(rest) > 0 {
			return 0
		}
		many = []typed{one}
	}
	for _, t := range many {
		if t.Type == extended && len(t.Value) == 12 { // KERB_EXT_ERROR: status, reserved, flags
			return binary.LittleEndian.Uint32(t.Value)
		}
	}
	return 0
}
