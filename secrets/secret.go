package secrets

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/gmsa-agent/gmsa-agent/internal/locked"
)

// redacted is what every way of printing a Secret prints. It says nothing of
// the length, nor whether there is anything at all.
const redacted = "[redacted]"

// Secret holds bytes that must not be shown. However it is printed, logged or
// encoded, alone or inside of other values, the result is "[redacted]" or the
// address of a function.
//
// A Secret is a reference: copies of the value are the same secret, and wiping
// one wipes them all. Who wants to keep it for longer or shorter than others do
// takes a [Secret.Clone]. The zero value is an empty secret. A Secret may be
// read by many goroutines at once, but wiped only by the last one that uses it.
type Secret struct {
	// A function value is the one kind that fmt, the encoders and dumpers that
	// work by reflection never look into. A slice or a pointer would be printed
	// by fmt whenever the Secret sits in an unexported field, where fmt may not
	// call its methods. It also keeps the type from being compared with ==,
	// which would take a time that depends on the bytes.
	hold func() *held
}

// held is one holder of the bytes; nil after Wipe.
type held struct{ content atomic.Pointer[content] }

// content is the bytes, in memory that is locked where the platform can. As
// nobody changes them, a secret and its clones share them: a system call for
// every clone would be most of what a redemption takes, and each would be one
// more place where the password is.
type content struct {
	buffer  *locked.Buffer
	holders atomic.Int32
}

// New returns a Secret of b, which it overwrites: the bytes are moved to memory
// that is kept out of swap files and dumps.
func New(b []byte) Secret {
	c := &content{buffer: locked.New(len(b))}
	copy(c.buffer.Bytes(), b)
	clear(b)
	return c.hold()
}

func (c *content) hold() Secret {
	c.holders.Add(1)
	h := &held{}
	h.content.Store(c)
	return Secret{hold: func() *held { return h }}
}

// Bytes returns the secret's own bytes, not a copy: they are overwritten by
// [Secret.Wipe] and must not be changed. It is the only way to the content;
// whoever calls it answers for where the bytes go. Nil if there are none.
func (s Secret) Bytes() []byte {
	if s.hold == nil {
		return nil
	}
	if c := s.hold().content.Load(); c != nil {
		return c.buffer.Bytes()
	}
	return nil
}

// Clone returns a Secret of the same bytes that is wiped on its own.
func (s Secret) Clone() Secret {
	if s.hold == nil {
		return Secret{}
	}
	if c := s.hold().content.Load(); c != nil {
		return c.hold()
	}
	return Secret{}
}

// Equal reports whether two secrets have the same bytes, in a time that
// depends on their lengths only.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare(s.Bytes(), o.Bytes()) == 1
}

// IsZero reports whether there is nothing in it, or nothing any more.
func (s Secret) IsZero() bool { return len(s.Bytes()) == 0 }

// Wipe makes the secret an empty one. The last of a secret and its clones to be
// wiped overwrites the bytes with zeroes. It may be called more than once.
func (s Secret) Wipe() {
	if s.hold == nil {
		return
	}
	if c := s.hold().content.Swap(nil); c != nil && c.holders.Add(-1) == 0 {
		c.buffer.Release()
	}
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
