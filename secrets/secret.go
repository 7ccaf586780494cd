package secrets

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"

	"github.com/gmsa-agent/gmsa-agent/internal/locked"
)

// redacted is what every way of printing a Secret prints. It says nothing of
// the length, nor whether there is anything at all.
const redacted = "[redacted]"

// Secret holds bytes that must not be shown. However it is printed, logged or
// encoded, alone or inside of other values, the result is "[redacted]" or the
// address of a function.
//
// A Secret is a reference: copies of the value share the bytes, so that wiping
// one wipes them all. Who wants bytes of their own takes a [Secret.Clone]. The
// zero value is an empty secret. A Secret may be read by many goroutines at
// once, but wiped only by the last one that uses it.
type Secret struct {
	// A function value is the one kind that fmt, the encoders and dumpers that
	// work by reflection never look into. A slice or a pointer would be printed
	// by fmt whenever the Secret sits in an unexported field, where fmt may not
	// call its methods. It also keeps the type from being compared with ==,
	// which would take a time that depends on the bytes.
	hold func() *held
}

// held has the bytes in memory that is locked where the platform can.
type held struct{ buffer *locked.Buffer }

// New returns a Secret of b, which it overwrites: the bytes are moved to memory
// that is kept out of swap files and dumps.
func New(b []byte) Secret {
	s := hold(b)
	clear(b)
	return s
}

func hold(b []byte) Secret {
	h := &held{locked.New(len(b))}
	copy(h.buffer.Bytes(), b)
	return Secret{hold: func() *held { return h }}
}

// Bytes returns the secret's own bytes, not a copy: they are overwritten by
// [Secret.Wipe] and must not be changed. It is the only way to the content;
// whoever calls it answers for where the bytes go. Nil if there are none.
func (s Secret) Bytes() []byte {
	if s.hold == nil {
		return nil
	}
	return s.hold().buffer.Bytes()
}

// Clone returns a Secret with bytes of its own.
func (s Secret) Clone() Secret {
	b := s.Bytes()
	if b == nil {
		return Secret{}
	}
	return hold(b)
}

// Equal reports whether two secrets have the same bytes, in a time that
// depends on their lengths only.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare(s.Bytes(), o.Bytes()) == 1
}

// IsZero reports whether there is nothing in it, or nothing any more.
func (s Secret) IsZero() bool { return len(s.Bytes()) == 0 }

// Wipe overwrites the bytes with zeroes and forgets them. It may be called
// more than once.
func (s Secret) Wipe() {
	if s.hold == nil {
		return
	}
	s.hold().buffer.Release()
}

// String never returns the content.
func (Secret) String() string { return redacted }

// GoString never returns the content.
func (Secret) GoString() string { return redacted }

// Format never prints the content, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue never returns the content.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText never returns the content.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON never returns the content.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
