package config

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes; in the file a number, or one with KiB, MiB or GiB.
type Size int64

var sizeUnits = []struct {
	name  string
	shift uint
}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}

// UnmarshalText reads what MarshalText writes.
func (s *Size) UnmarshalText(text []byte) error {
	digits, shift := string(text), uint(0)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(digits, u.name); ok {
			digits, shift = strings.TrimSpace(rest), u.shift
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q is not a size: write bytes, or a number with KiB, MiB or GiB", text)
	}
	*s = Size(n << shift)
	return nil
}

// MarshalText writes the size in the greatest unit that loses nothing.
func (s Size) MarshalText() ([]byte, error) {
	for _, u := range sizeUnits {
		if s != 0 && s%(1<<u.shift) == 0 {
			return fmt.Appendf(nil, "%d%s", s>>u.shift, u.name), nil
		}
	}
	return strconv.AppendInt(nil, int64(s), 10), nil
}

// Pattern is a text in which "*" stands for any run of characters, slashes
// included, and every other character for itself.
type Pattern string

// UnmarshalText refuses the empty pattern, which fits nothing that exists.
func (p *Pattern) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New(`a pattern must not be empty ("*" fits everything)`)
	}
	*p = Pattern(text)
	return nil
}

// Match says whether s fits.
func (p Pattern) Match(s string) bool {
	head, rest, starred := strings.Cut(string(p), "*")
	if !starred {
		return s == head
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		_, after, ok := strings.Cut(s, part) // the leftmost occurrence leaves most for the others
		if !ok {
			return false
		}
		s, rest = after, next
	}
}

// MatchFold is Match without regard to case, for names that Active Directory
// compares so.
func (p Pattern) MatchFold(s string) bool {
	return Pattern(strings.ToLower(string(p))).Match(strings.ToLower(s))
}

// UnmarshalText accepts the values of Inject.
func (v *Inject) UnmarshalText(text []byte) error {
	return choose(v, text, InjectAuto, InjectAlways, InjectNever)
}

// UnmarshalText accepts the values of Enabled.
func (v *Enabled) UnmarshalText(text []byte) error {
	return choose(v, text, EnabledAuto, EnabledTrue, EnabledFalse)
}

// UnmarshalText accepts the values of Joined.
func (v *Joined) UnmarshalText(text []byte) error {
	return choose(v, text, JoinedAuto, JoinedYes, JoinedNo)
}

// UnmarshalText accepts the values of HostAccount.
func (v *HostAccount) UnmarshalText(text []byte) error {
	return choose(v, text, HostAccountAllow, HostAccountForbid, HostAccountRequire)
}

// UnmarshalText accepts the values of AWSCredentials.
func (v *AWSCredentials) UnmarshalText(text []byte) error {
	return choose(v, text, AWSInstance, AWSContainer, AWSWebIdentity, AWSProfile)
}

// UnmarshalText accepts the values of AzureIdentity.
func (v *AzureIdentity) UnmarshalText(text []byte) error {
	return choose(v, text, AzureSystem, AzureClientID, AzureObjectID, AzureWorkload, AzureCertificate)
}

// UnmarshalText accepts the values of VaultMethod.
func (v *VaultMethod) UnmarshalText(text []byte) error {
	return choose(v, text, VaultToken, VaultAppRole, VaultJWT, VaultKubernetes, VaultCert)
}

// UnmarshalText accepts the values of GCPCredentials.
func (v *GCPCredentials) UnmarshalText(text []byte) error {
	return choose(v, text, GCPMetadata, GCPWorkloadIdentity, GCPKeyFile)
}

// UnmarshalText accepts true and false. YAML's older words for them (yes, on)
// are refused: they read as text elsewhere in the file.
func (v *Switch) UnmarshalText(text []byte) error {
	switch string(text) {
	case "true", "false":
		*v = string(text) == "true"
		return nil
	}
	return fmt.Errorf("%q is neither true nor false", text)
}

// UnmarshalText accepts the values of Format.
func (v *Format) UnmarshalText(text []byte) error {
	return choose(v, text, FormatText, FormatJSON)
}

// UnmarshalText accepts the values of Level.
func (v *Level) UnmarshalText(text []byte) error {
	return choose(v, text, LevelDebug, LevelInfo, LevelWarn, LevelError)
}

// UnmarshalText accepts the values of EventLevel.
func (v *EventLevel) UnmarshalText(text []byte) error {
	return choose(v, text, EventInfo, EventWarn, EventError, EventOff)
}

// Level makes it a [slog.Leveler].
func (v Level) Level() slog.Level {
	switch v {
	case LevelDebug:
		return slog.LevelDebug
	case LevelWarn:
		return slog.LevelWarn
	case LevelError:
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

func choose[T ~string](v *T, text []byte, values ...T) error {
	var names []string
	for _, value := range values {
		if T(text) == value {
			*v = value
			return nil
		}
		names = append(names, string(value))
	}
	return fmt.Errorf("%q is none of %s", text, strings.Join(names, ", "))
}
