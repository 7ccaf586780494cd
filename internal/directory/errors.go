package directory

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Kind is what is wrong, in terms that an administrator can act on.
type Kind int

// The kinds of failure.
const (
	Refused            Kind = iota // the domain controller said no in a way that has no kind of its own
	Unreachable                    // a server did not answer
	NoSuchDomain                   // DNS has no domain controllers for the name
	Untrusted                      // the domain controller's certificate does not verify
	ClockSkew                      // this computer's clock and the domain controller's differ too much
	Malformed                      // an answer or an input makes no sense
	UnknownUser                    // no account has the name
	WrongPassword                  //
	PasswordExpired                //
	MustChangePassword             // pwdLastSet is 0
	AccountLocked                  //
	AccountDisabled                //
	AccountExpired                 //
	AccountRestricted              // disabled, locked, expired or out of hours: the domain controller does not say which
	LogonHours                     //
	Workstation                    // the account may log on at certain computers only
	SmartCardRequired              //
	NoAESKey                       // the account has RC4 keys only
	NoSuchAccount                  // no gMSA has the name
	NotAuthorized                  // the gMSA is there, its managed password is not for this user
	NoSuchService                  // no account has the service principal name
	NoTicket                       // the credential cache has no ticket that can be used here
)

// kinds has each kind's words and the fault that it wraps.
var kinds = map[Kind]struct {
	words string
	fault error
}{
	Refused:            {"the domain controller refused", fault.ErrDenied},
	Unreachable:        {"no answer", fault.ErrUnavailable},
	NoSuchDomain:       {"DNS has no domain controllers of that domain", fault.ErrNotFound},
	Untrusted:          {"the domain controller's certificate is not trusted", fault.ErrUnavailable},
	ClockSkew:          {"the clocks of this computer and of the domain controller differ too much", fault.ErrUnavailable},
	Malformed:          {"malformed", fault.ErrMalformed},
	UnknownUser:        {"no account has this name", fault.ErrNotFound},
	WrongPassword:      {"the password is wrong", fault.ErrDenied},
	PasswordExpired:    {"the password has expired", fault.ErrDenied},
	MustChangePassword: {"the user must change the password before the first logon", fault.ErrDenied},
	AccountLocked:      {"the account is locked out", fault.ErrDenied},
	AccountDisabled:    {"the account is disabled", fault.ErrDenied},
	AccountExpired:     {"the account has expired", fault.ErrDenied},
	AccountRestricted:  {"the account is disabled, locked out, expired or restricted; the domain controller does not say which", fault.ErrDenied},
	LogonHours:         {"the account may not log on at this hour", fault.ErrDenied},
	Workstation:        {"the account may log on at certain computers only", fault.ErrDenied},
	SmartCardRequired:  {"the account must log on with a smart card", fault.ErrDenied},
	NoAESKey:           {"the account has no AES keys", fault.ErrDenied},
	NoSuchAccount:      {"there is no such group managed service account", fault.ErrNotFound},
	NotAuthorized:      {"the user may not read the managed password", fault.ErrDenied},
	NoSuchService:      {"no account has this service principal name", fault.ErrNotFound},
	NoTicket:           {"the credential cache has no ticket that can be used", fault.ErrNotFound},
}

// String is the kind in words.
func (k Kind) String() string {
	if e, ok := kinds[k]; ok {
		return e.words
	}
	return fmt.Sprintf("kind %d", int(k))
}

// Error is every error of this package.
type Error struct {
	Op     string // what was tried: "authenticate gmsa-plugin"
	Domain string // DNS name; empty if it was about none
	DC     string // name and address of the domain controller, if one was asked
	Kind   Kind
	Err    error // what the network or the protocol said; may be nil
}

// Error says what was tried, where, what is wrong and what the other side said.
func (e *Error) Error() string {
	s := e.Op
	if e.Domain != "" {
		s += " in " + e.Domain
	}
	if e.DC != "" {
		s += " at " + e.DC
	}
	s += ": " + e.Kind.String()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the kind's fault and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{kinds[e.Kind].fault}
	}
	return []error{kinds[e.Kind].fault, e.Err}
}

// failure is an error on its way out: a kind and a cause, before the exported
// method that was called adds what was tried and where.
type failure struct {
	kind Kind
	err  error
}

func (f *failure) Error() string {
	if f.err == nil {
		return f.kind.String()
	}
	return f.kind.String() + ": " + f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

func fail(k Kind, err error) error { return &failure{k, err} }

func failf(k Kind, format string, args ...any) error {
	return &failure{k, fmt.Errorf(format, args...)}
}

// errorAt makes err the error of an exported method.
func (c *Client) errorAt(op string, dc *Controller, err error) error {
	return errorOf(&Error{Op: op, Domain: c.domain}, dc, err)
}

// errorOf completes e, which says what was tried.
func errorOf(e *Error, dc *Controller, err error) error {
	if err == nil {
		return nil
	}
	e.Kind, e.Err = Unreachable, err
	if dc != nil {
		e.DC = dc.String()
	}
	if f := (*failure)(nil); errors.As(err, &f) {
		e.Kind, e.Err = f.kind, f.err
	}
	return e
}

// errorList is several causes on one line.
type errorList []error

func (l errorList) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (l errorList) Unwrap() []error { return l }
