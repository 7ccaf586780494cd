package hcs

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
)

// Opaque is a text that is passed on and never shown: the cookie that lets its
// bearer speak for a container, or a credential spec with the token in it.
// Whichever way it is printed, logged or marshaled, it says [Redacted].
// The zero value is the empty text.
type Opaque struct {
	// A pointer, because package fmt prints the unexported fields of structs
	// within structs without asking them, and a pointer there as an address.
	text *string
}

// Redacted is what an Opaque prints as.
const Redacted = "(redacted)"

var (
	_ fmt.Formatter          = Opaque{}
	_ fmt.Stringer           = Opaque{}
	_ slog.LogValuer         = Opaque{}
	_ json.Marshaler         = Opaque{}
	_ encoding.TextMarshaler = Opaque{}
)

// NewOpaque hides a text.
func NewOpaque(text string) Opaque {
	if text == "" {
		return Opaque{}
	}
	return Opaque{&text}
}

// Reveal returns the text. What the caller does with it is the caller's to
// answer for.
func (o Opaque) Reveal() string {
	if o.text == nil {
		return ""
	}
	return *o.text
}

// IsZero reports whether the text is empty.
func (o Opaque) IsZero() bool { return o.text == nil }

// Equal reports whether two texts are the same.
func (o Opaque) Equal(other Opaque) bool { return o.Reveal() == other.Reveal() }

// String is Redacted.
func (o Opaque) String() string { return Redacted }

// Format writes Redacted, whatever the verb.
func (o Opaque) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// LogValue is Redacted.
func (o Opaque) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalJSON is Redacted: documents for HCS are made by this package's own
// functions and not by encoding/json.
func (o Opaque) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalText is Redacted.
func (o Opaque) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
