package ccgplugin

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// Memory gives and takes back memory that outlives the call: in the DLL the
// COM task allocator, by which CCG frees the strings.
type Memory interface {
	// Alloc returns size bytes, or nil if there are none.
	Alloc(size uintptr) unsafe.Pointer
	Free(unsafe.Pointer)
}

// Strings are credentials as NUL-terminated UTF-16 strings in the memory that
// they were made with.
type Strings struct{ Domain, User, Password *uint16 }

// Marshal lays a release out for COM and wipes its password. It makes all
// three strings or, with an [*Error], none: what was made before a failure is
// wiped and given back.
func Marshal(mem Memory, r *wire.Release) (s Strings, err error) {
	defer r.Wipe()
	// A deferred call, so that nothing stays behind a panic either.
	var made []wide
	defer func() {
		if s == (Strings{}) {
			for _, w := range made {
				clear(w)
				mem.Free(unsafe.Pointer(&w[0]))
			}
		}
	}()
	for _, text := range [][]byte{[]byte(r.Domain), []byte(r.User), r.Password} {
		w, err := makeWide(mem, text)
		if err != nil {
			return Strings{}, err
		}
		made = append(made, w)
	}
	return Strings{&made[0][0], &made[1][0], &made[2][0]}, nil
}

// wide is a string with its terminator.
type wide []uint16

// makeWide converts UTF-8 straight into new memory, so that no copy of a
// password is left where nobody can wipe it.
func makeWide(mem Memory, text []byte) (wide, error) {
	units := 0
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if r == 0 || r == utf8.RuneError && size == 1 {
			return nil, &Error{EBadCredential, errors.New("a credential is not text")}
		}
		units += utf16.RuneLen(r)
		rest = rest[size:]
	}
	if units == 0 {
		return nil, &Error{EBadCredential, errors.New("a credential is empty")}
	}
	p := (*uint16)(mem.Alloc(uintptr(units+1) * unsafe.Sizeof(uint16(0))))
	if p == nil {
		return nil, &Error{EOutOfMemory, errors.New("no memory for the credentials")}
	}
	w := wide(unsafe.Slice(p, units+1))
	at := 0
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		if high, low := utf16.EncodeRune(r); r > 0xFFFF {
			w[at], w[at+1] = uint16(high), uint16(low)
			at += 2
		} else {
			w[at] = uint16(r)
			at++
		}
		rest = rest[size:]
	}
	w[at] = 0
	return w, nil
}
