// Package wire is the protocol of the agent's two local channels.
//
// Both channels carry frames: a fixed header and a bounded payload. The plugin
// channel knows one exchange, redeem, in a binary form without JSON, so that
// the CCG plugin stays small and the password never becomes a string; it is
// this package. The control channel carries one JSON request and one or more
// JSON answers in the same frames; it is the subpackage control, apart because
// the CCG plugin must not link a JSON codec.
//
//	offset  size  what
//	0       3     "GMS"
//	3       1     version (1)
//	4       1     kind
//	5       4     payload length, big endian
//	9       n     payload
//
// A payload of the plugin channel is a sequence of fields, each a 16-bit
// big-endian length and that many bytes, with nothing after the last.
//
// Readers are strict: what is not exactly a frame of this version and of an
// expected kind and size is an error that says what was wrong, and nothing is
// allocated for a length that is over the limit. What the stream itself
// reports (a deadline, a cut connection) wraps [fault.ErrUnavailable] and the
// stream's own error; a connection that ended before the first byte of a frame
// is [io.EOF] besides.
//
// The package knows bytes. It does not know who is talking (package channel)
// or what the answer should be (package agent).
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Version is the protocol's version. Both ends come from one release; there is
// no negotiation, only a clear answer ([VersionError]) when they do not.
const Version = 1

const (
	magic      = "GMS"
	headerSize = len(magic) + 1 + 1 + 4
)

// MaxPluginPayload bounds a payload of the plugin channel, in bytes. Its
// largest content is a release: a domain (253 bytes), a user (1024 characters
// for a user principal name) and a password (256 UTF-16 units, Active
// Directory's limit), at most 3 bytes each unit in UTF-8: under 5 KiB.
const MaxPluginPayload = 8 << 10

// The plugin channel's times. CCG publishes no timeout of its own; the bound
// above both is the 4 minutes that hcsshim gives a call to HCS, inside which
// CCG asks. The agent gets long enough for a cold fetch from a store with one
// retry, and the plugin waits a little longer than that, so that the reason
// which reaches CCG is the agent's and not a bare timeout.
const (
	// AnswerTimeout is within what the agent answers a redemption.
	AnswerTimeout = 10 * time.Second
	// RedeemTimeout bounds the plugin's whole call: dial, ask and answer.
	RedeemTimeout = AnswerTimeout + 5*time.Second
)

// Kind says what a frame carries.
type Kind byte

// The kinds of the plugin channel (below 16) and of the control channel.
const (
	KindRedeem  Kind = 1 // plugin → agent: a grant token
	KindRelease Kind = 2 // agent → plugin: domain, user, password
	KindRefusal Kind = 3 // agent → plugin: a code and words

	KindRequest Kind = 16 // client → agent: verb and body
	KindItem    Kind = 17 // agent → client: one of many, more follow
	KindAnswer  Kind = 18 // agent → client: the last frame of an exchange
)

// Error says why bytes are not the expected frame. It wraps [fault.ErrMalformed].
type Error struct {
	Place  string // where in the frame, for example "header" or "token"
	Detail string // what is wrong there; never a secret
}

func (e *Error) Error() string { return "frame: " + e.Place + ": " + e.Detail }

// Unwrap returns [fault.ErrMalformed].
func (e *Error) Unwrap() error { return fault.ErrMalformed }

// VersionError says that the other end speaks another version of the protocol.
// It wraps [errors.ErrUnsupported] and [fault.ErrMalformed].
type VersionError struct{ Got byte }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the other end speaks version %d of the channel's protocol and this one version %d: they are of different releases, install the same one", e.Got, Version)
}

// Unwrap returns the kinds that the error belongs to.
func (e *VersionError) Unwrap() []error { return []error{errors.ErrUnsupported, fault.ErrMalformed} }

// WriteFrame writes one frame with a single Write. A payload over limit is an
// error and nothing is written.
func WriteFrame(w io.Writer, kind Kind, payload []byte, limit int) error {
	if len(payload) > limit {
		return &Error{"payload", fmt.Sprintf("%d bytes are more than the %d allowed", len(payload), limit)}
	}
	frame := make([]byte, 0, headerSize+len(payload))
	frame = append(frame, magic...)
	frame = append(frame, Version, byte(kind))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(payload)))
	frame = append(frame, payload...)
	defer clear(frame) // the payload may hold a password
	if _, err := w.Write(frame); err != nil {
		return fmt.Errorf("write frame: %w: %w", fault.ErrUnavailable, err)
	}
	return nil
}

// eagerPayload is how much is allocated on a header's word alone. What is
// beyond it is allocated as it arrives, so that a caller cannot make the agent
// hold megabytes by sending nine bytes.
const eagerPayload = MaxPluginPayload

// ReadFrame reads one frame whose kind is one of kinds and whose payload is at
// most limit bytes. The payload is the caller's.
func ReadFrame(r io.Reader, limit int, kinds ...Kind) (Kind, []byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, fmt.Errorf("read frame: %w: %w", fault.ErrUnavailable, err)
	}
	if string(header[:len(magic)]) != magic {
		return 0, nil, &Error{"header", "does not begin with " + magic}
	}
	if v := header[3]; v != Version {
		return 0, nil, &VersionError{Got: v}
	}
	kind := Kind(header[4])
	if !contains(kinds, kind) {
		return 0, nil, &Error{"header", fmt.Sprintf("kind %d is not expected here", kind)}
	}
	size := binary.BigEndian.Uint32(header[5:])
	if uint64(size) > uint64(limit) {
		return 0, nil, &Error{"header", fmt.Sprintf("a payload of %d bytes is more than the %d allowed", size, limit)}
	}
	payload, err := readPayload(r, int(size))
	if err != nil {
		clear(payload)
		if err == io.EOF { //nolint:errorlint // io.Reader returns it bare, and it is not the clean end that io.EOF means to the caller
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, fmt.Errorf("read frame: payload: %w: %w", fault.ErrUnavailable, err)
	}
	return kind, payload, nil
}

func readPayload(r io.Reader, size int) ([]byte, error) {
	payload := make([]byte, min(size, eagerPayload))
	n, err := io.ReadFull(r, payload)
	for err == nil && n < size {
		grown := make([]byte, min(size, 2*len(payload)))
		copy(grown, payload)
		clear(payload)
		payload = grown
		var m int
		m, err = io.ReadFull(r, payload[n:])
		n += m
	}
	return payload, err
}

func contains(kinds []Kind, k Kind) bool {
	for _, x := range kinds {
		if x == k {
			return true
		}
	}
	return false
}

// appendField appends one length-prefixed field. It is for contents that were
// checked against their own, smaller limits.
func appendField[T string | []byte](payload []byte, field T) []byte {
	payload = binary.BigEndian.AppendUint16(payload, uint16(len(field)))
	return append(payload, field...)
}

// splitFields cuts a payload into exactly as many fields as there are names.
// The fields share the payload's memory.
func splitFields(payload []byte, names ...string) ([][]byte, error) {
	fields := make([][]byte, 0, len(names))
	for _, name := range names {
		if len(payload) < 2 {
			return nil, &Error{name, "missing"}
		}
		n := int(binary.BigEndian.Uint16(payload))
		if payload = payload[2:]; n > len(payload) {
			return nil, &Error{name, fmt.Sprintf("announces %d bytes where %d are left", n, len(payload))}
		}
		fields, payload = append(fields, payload[:n:n]), payload[n:]
	}
	if len(payload) != 0 {
		return nil, &Error{"payload", fmt.Sprintf("%d bytes after the last field", len(payload))}
	}
	return fields, nil
}
