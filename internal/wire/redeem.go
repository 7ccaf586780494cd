package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Limits of the plugin channel's fields, in bytes.
const (
	// MaxToken bounds what a client sends as a token. A token has 49 bytes;
	// the room beyond lets the agent see, and audit, an input that is none.
	MaxToken = 1024
	// MaxDomain is the length of the longest DNS name.
	MaxDomain = 253
	// MaxUser is a user principal name's 1024 characters in UTF-8.
	MaxUser = 3 * 1024
	// MaxPassword is Active Directory's limit of 256 UTF-16 units in UTF-8.
	MaxPassword = 3 * 256
	// MaxMessage bounds a refusal's words; WriteRefusal cuts longer ones.
	MaxMessage = 1024
)

// WriteRedeem asks the agent to exchange a grant token for credentials. The
// text need not be a valid token (whether it is one is the agent's to judge
// and to audit), but it must be UTF-8 of 1 to [MaxToken] bytes.
func WriteRedeem(w io.Writer, token string) error {
	if err := checkText("token", []byte(token), MaxToken); err != nil {
		return err
	}
	payload := appendField(nil, token)
	defer clear(payload)
	return WriteFrame(w, KindRedeem, payload, MaxPluginPayload)
}

// ReadRedeem reads what WriteRedeem wrote. A text that has not the form of a
// token is an [*Error]; it is not repeated in the error.
func ReadRedeem(r io.Reader) (token string, err error) {
	_, payload, err := ReadFrame(r, 2+MaxToken, KindRedeem)
	if err != nil {
		return "", err
	}
	defer clear(payload)
	fields, err := splitFields(payload, "token")
	if err != nil {
		return "", err
	}
	if token = string(fields[0]); !ValidToken(token) {
		return "", &Error{"token", "is not a grant token: the container's credential spec was not admitted by this agent"}
	}
	return token, nil
}

// Release is what the agent gives for a live grant. None of the three is
// empty, holds a NUL or is not UTF-8: CCG takes them as C strings.
type Release struct {
	Domain, User string
	Password     []byte // UTF-8
}

// String names the account and withholds the password.
func (r Release) String() string { return r.Domain + `\` + r.User + ":(redacted)" }

// Format prints String for every verb: %d and %#v withhold the password too.
func (r Release) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, r.String()) }

// MarshalText is String, so that JSON and slog withhold the password too.
func (r Release) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Wipe zeroes the password.
func (r *Release) Wipe() {
	clear(r.Password)
	r.Password = nil
}

func (r Release) check() error {
	if err := checkText("domain", []byte(r.Domain), MaxDomain); err != nil {
		return err
	}
	if err := checkText("user", []byte(r.User), MaxUser); err != nil {
		return err
	}
	return checkText("password", r.Password, MaxPassword)
}

// WriteRelease writes a release. One that a Release may not be is an [*Error]
// and nothing is written. The password stays the caller's to wipe.
func WriteRelease(w io.Writer, r Release) error {
	if err := r.check(); err != nil {
		return err
	}
	payload := make([]byte, 0, 6+len(r.Domain)+len(r.User)+len(r.Password))
	payload = appendField(payload, r.Domain)
	payload = appendField(payload, r.User)
	payload = appendField(payload, r.Password)
	defer clear(payload)
	return WriteFrame(w, KindRelease, payload, MaxPluginPayload)
}

// WriteRefusal writes a refusal. Words over [MaxMessage] are cut, bytes that
// are not UTF-8 replaced.
func WriteRefusal(w io.Writer, code Code, msg string) error {
	msg = strings.ToValidUTF8(msg, "\uFFFD")
	if len(msg) > MaxMessage {
		msg = strings.ToValidUTF8(msg[:MaxMessage], "") // drops a rune that the cut went through
	}
	payload := appendField(nil, binary.BigEndian.AppendUint16(nil, uint16(code)))
	payload = appendField(payload, msg)
	return WriteFrame(w, KindRefusal, payload, MaxPluginPayload)
}

// ReadAnswer reads the agent's answer to a redemption: a release, whose
// password is the caller's to wipe, or a [*Refusal] as the error. The codes of
// a later release are passed on as they are.
func ReadAnswer(r io.Reader) (Release, error) {
	kind, payload, err := ReadFrame(r, MaxPluginPayload, KindRelease, KindRefusal)
	if err != nil {
		return Release{}, err
	}
	defer clear(payload)
	if kind == KindRefusal {
		return Release{}, readRefusal(payload)
	}
	fields, err := splitFields(payload, "domain", "user", "password")
	if err != nil {
		return Release{}, err
	}
	release := Release{Domain: string(fields[0]), User: string(fields[1]), Password: bytes.Clone(fields[2])}
	if err := release.check(); err != nil {
		release.Wipe()
		return Release{}, err
	}
	return release, nil
}

func readRefusal(payload []byte) error {
	fields, err := splitFields(payload, "refusal code", "refusal message")
	if err != nil {
		return err
	}
	if len(fields[0]) != 2 {
		return &Error{"refusal code", fmt.Sprintf("has %d bytes instead of 2", len(fields[0]))}
	}
	code := Code(binary.BigEndian.Uint16(fields[0]))
	if code == 0 {
		return &Error{"refusal code", "is zero"}
	}
	if len(fields[1]) > MaxMessage || !utf8.Valid(fields[1]) {
		return &Error{"refusal message", fmt.Sprintf("is not UTF-8 of at most %d bytes", MaxMessage)}
	}
	return &Refusal{Code: code, Message: string(fields[1])}
}

// checkText says what is wrong with a field that must be text, without
// repeating it: it may be secret.
func checkText(place string, text []byte, limit int) error {
	switch {
	case len(text) == 0:
		return &Error{place, "is empty"}
	case len(text) > limit:
		return &Error{place, fmt.Sprintf("%d bytes are more than the %d allowed", len(text), limit)}
	case !utf8.Valid(text):
		return &Error{place, "is not UTF-8"}
	case bytes.IndexByte(text, 0) >= 0:
		return &Error{place, "holds a NUL"}
	}
	return nil
}
