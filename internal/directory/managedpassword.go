package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// ManagedPassword is a gMSA's password as the domain controller computes it.
// It is a secret: Wipe it after use.
type ManagedPassword struct {
	Account  string // sAMAccountName without the dollar sign, as the directory writes it
	Current  []byte // UTF-16, little-endian, mostly not valid text
	Previous []byte // nil if there is none
	// QueryIn is when to read it again, UnchangedFor how long it certainly
	// stays as it is.
	QueryIn, UnchangedFor time.Duration
}

// String has no secret.
func (p *ManagedPassword) String() string { return "managed password of " + p.Account }

// GoString has no secret.
func (p *ManagedPassword) GoString() string { return p.String() }

// Wipe overwrites the passwords.
func (p *ManagedPassword) Wipe() {
	clear(p.Current)
	clear(p.Previous)
}

// The fixed part of MSDS-MANAGEDPASSWORD_BLOB (MS-ADTS 2.2.19): version,
// reserved, length, and the offsets of two passwords and two intervals.
const (
	blobHeader  = 16
	blobVersion = 1
	// maxBlob is what 16-bit offsets reach, plus the last interval; a blob
	// with two passwords has 548 bytes.
	maxBlob = 1<<16 + 8
)

// parseManagedPassword parses the value of msDS-ManagedPassword. What it
// returns does not share b's memory.
func parseManagedPassword(b []byte) (*ManagedPassword, error) {
	le := binary.LittleEndian
	switch {
	case len(b) < blobHeader || len(b) > maxBlob:
		return nil, fmt.Errorf("managed password: %d bytes", len(b))
	case le.Uint16(b) != blobVersion:
		return nil, fmt.Errorf("managed password: version %d", le.Uint16(b))
	case int64(le.Uint32(b[4:])) != int64(len(b)):
		return nil, fmt.Errorf("managed password: says that it has %d bytes and has %d", le.Uint32(b[4:]), len(b))
	}
	current, previous := int(le.Uint16(b[8:])), int(le.Uint16(b[10:]))
	query, unchanged := int(le.Uint16(b[12:])), int(le.Uint16(b[14:]))

	// The fields follow each other in this order; a password ends where the
	// next field begins, but for padding.
	end := query
	if previous != 0 {
		end = previous
	}
	if current < blobHeader || current >= end || end > query || query+8 > unchanged || unchanged+8 > len(b) {
		return nil, fmt.Errorf("managed password: offsets %d, %d, %d, %d in %d bytes", current, previous, query, unchanged, len(b))
	}
	p := &ManagedPassword{}
	var err error
	if p.Current, err = blobPassword(b[current:end]); err != nil {
		return nil, fmt.Errorf("managed password: current password: %w", err)
	}
	if previous != 0 {
		if p.Previous, err = blobPassword(b[previous:query]); err != nil {
			p.Wipe()
			return nil, fmt.Errorf("managed password: previous password: %w", err)
		}
	}
	p.QueryIn, p.UnchangedFor = blobInterval(b[query:]), blobInterval(b[unchanged:])
	return p, nil
}

// blobPassword copies a password that ends in a null character. There is none
// inside of it: the domain controller turns those into U+0001.
func blobPassword(b []byte) ([]byte, error) {
	for i := 0; i+1 < len(b); i += 2 {
		if b[i] != 0 || b[i+1] != 0 {
			continue
		}
		for _, pad := range b[i:] {
			if pad != 0 {
				return nil, errors.New("has a null character inside")
			}
		}
		if i == 0 {
			return nil, errors.New("is empty")
		}
		return append(make([]byte, 0, i), b[:i]...), nil
	}
	return nil, errors.New("has no end")
}

// blobInterval reads a number of 100 ns; one that a Duration cannot hold becomes the longest.
func blobInterval(b []byte) time.Duration {
	const longest = time.Duration(1<<63 - 1)
	ticks := binary.LittleEndian.Uint64(b)
	if ticks > uint64(longest/100) {
		return longest
	}
	return time.Duration(ticks) * 100
}

// kerberosPassword is the password in the form that keys are derived from:
// UTF-8, where what is no character became U+FFFD (MS-KILE 3.1.1.2 has no word
// on it; it is what Windows and Samba do). The caller wipes it.
func kerberosPassword(utf16le []byte) []byte {
	out := make([]byte, 0, len(utf16le)/2*utf8.UTFMax) // never grows, so no copy is left behind
	for i := 0; i+1 < len(utf16le); i += 2 {
		r := rune(binary.LittleEndian.Uint16(utf16le[i:]))
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if i+3 < len(utf16le) {
				pair = utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(utf16le[i+2:])))
			}
			if pair != utf8.RuneError {
				i += 2
			}
			r = pair
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}
