package wire

import (
	"errors"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Code says why the agent refused, in a form that a program can act on.
type Code uint16

// The codes. Their numbers are part of the protocol: they are only added to.
const (
	CodeMalformed    Code = 1 // what was asked is not well formed
	CodeUnknownGrant Code = 2 // the token is of no live grant
	CodeDenied       Code = 3 // the caller or the policy does not allow it
	CodeUnavailable  Code = 4 // a store or a source could not be asked; try again later
	CodeUnsupported  Code = 5 // this agent cannot do it, now or later
	CodeInternal     Code = 6 // the agent's own fault; its log has more
	CodeNotFound     Code = 7 // what was named (a secret, a container) does not exist
)

var codes = map[Code]struct {
	name string
	kind error
}{
	CodeMalformed:    {"malformed", fault.ErrMalformed},
	CodeUnknownGrant: {"unknown-grant", fault.ErrNotFound},
	CodeDenied:       {"denied", fault.ErrDenied},
	CodeUnavailable:  {"unavailable", fault.ErrUnavailable},
	CodeUnsupported:  {"unsupported", errors.ErrUnsupported},
	CodeInternal:     {"internal", nil},
	CodeNotFound:     {"not-found", fault.ErrNotFound},
}

// String is the code's name, or "code N" for one of a later release.
func (c Code) String() string {
	if k, ok := codes[c]; ok {
		return k.name
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// MarshalText is the code's name; a code without one is an error.
func (c Code) MarshalText() ([]byte, error) {
	if k, ok := codes[c]; ok {
		return []byte(k.name), nil
	}
	return nil, fmt.Errorf("refusal code %d has no name", uint16(c))
}

// UnmarshalText reads a code's name. An unknown name is an error that wraps
// [fault.ErrMalformed].
func (c *Code) UnmarshalText(text []byte) error {
	for code, k := range codes {
		if k.name == string(text) {
			*c = code
			return nil
		}
	}
	return &Error{"refusal code", fmt.Sprintf("%.40q is not one of the protocol", text)}
}

// CodeOf chooses the code for an error: a [Refusal]'s own, else by the fault
// kind that it wraps, else [CodeInternal].
func CodeOf(err error) Code {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Code
	}
	switch {
	// Before malformed: a VersionError is both, and says more as this one.
	case errors.Is(err, errors.ErrUnsupported):
		return CodeUnsupported
	case errors.Is(err, fault.ErrMalformed):
		return CodeMalformed
	case errors.Is(err, fault.ErrNotFound):
		return CodeNotFound
	case errors.Is(err, fault.ErrDenied):
		return CodeDenied
	case errors.Is(err, fault.ErrUnavailable):
		return CodeUnavailable
	}
	return CodeInternal
}

// Refusal is the agent's no. It unwraps to the fault kind of its code
// ([errors.ErrUnsupported] for [CodeUnsupported], none for [CodeInternal]).
type Refusal struct {
	Code    Code   `json:"code"`
	Message string `json:"message"` // for people; names the place and the cause, never a secret
}

func (r *Refusal) Error() string { return "the agent refused (" + r.Code.String() + "): " + r.Message }

// Unwrap returns the fault kind.
func (r *Refusal) Unwrap() error { return codes[r.Code].kind }
