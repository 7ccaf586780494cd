package local

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

const (
	magicPrefix = "gmsa-agent secret "
	magic       = magicPrefix + "1\n"
	// maxFile bounds what is read. The header takes at most 8 KiB: a user of
	// 1,024 bytes, each escaped in JSON by up to six; DPAPI adds less than 1 KiB
	// to the padded password.
	maxFile = 16 << 10
)

// header is the second line of a file. It is not secret, and bound to what is.
type header struct {
	Name   string `json:"name"`
	Domain string `json:"domain"`
	User   string `json:"user"`
	Sealed string `json:"sealed"`        // what sealed the password
	Key    string `json:"key,omitempty"` // which key did, if there can be several
}

// file is a secret's file, taken apart. Between the lines and the sealed
// password stands the latter's length, four bytes, big endian: it tells "cut
// short" from "tampered with".
type file struct {
	header header
	bound  []byte // both lines, as they stand in the file
	sealed []byte
}

// boundLines are what stands before the sealed password.
func boundLines(h header) ([]byte, error) {
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return append(append([]byte(magic), line...), '\n'), nil
}

// decode takes a file apart without opening it.
func decode(b []byte) (file, error) {
	if len(b) > maxFile {
		return file{}, damaged("longer than %d bytes", maxFile)
	}
	if !bytes.HasPrefix(b, []byte(magic)) {
		switch {
		case len(b) == 0:
			return file{}, damaged("cut short: it is empty")
		case bytes.HasPrefix([]byte(magic), b):
			return file{}, damaged("cut short in its first line")
		case bytes.HasPrefix(b, []byte(magicPrefix)):
			return file{}, fmt.Errorf("%w: written by a version of gmsa-agent that is newer or unknown", errors.ErrUnsupported)
		}
		return file{}, damaged("not a secret's file, or its beginning was overwritten")
	}
	rest := b[len(magic):]
	end := bytes.IndexByte(rest, '\n')
	if end < 0 {
		return file{}, damaged("cut short in its header")
	}
	f := file{bound: b[:len(magic)+end+1]}
	dec := json.NewDecoder(bytes.NewReader(rest[:end]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f.header); err != nil {
		return file{}, damaged("its header is not what this version writes")
	}
	if _, err := dec.Token(); err != io.EOF {
		return file{}, damaged("its header is not what this version writes")
	}
	rest = rest[end+1:]
	if len(rest) < 4 {
		return file{}, damaged("cut short after its header")
	}
	f.sealed = rest[4:]
	switch n, want := int64(len(f.sealed)), int64(binary.BigEndian.Uint32(rest)); {
	case n < want:
		return file{}, damaged("cut short: %d of %d sealed bytes are there", n, want)
	case n > want:
		return file{}, damaged("%d sealed bytes where %d belong", n, want)
	}
	if err := secrets.ValidateAccount(f.header.Domain, f.header.User); err != nil {
		return file{}, damaged("its header is not what this version writes: %s", strings.TrimPrefix(err.Error(), fault.ErrMalformed.Error()+": "))
	}
	return f, nil
}

// decodeFor is decode of the file of one secret.
func decodeFor(name string, b []byte) (file, error) {
	f, err := decode(b)
	if err == nil && f.header.Name != name {
		err = damaged("it was written for another name")
	}
	if err != nil {
		return file{}, err
	}
	return f, nil
}

// padded is the length of every password before it is sealed, so that a file's
// size says nothing: two bytes of length, big endian, the password, zeroes.
const padded = 2 + secrets.MaxPassword

// pad returns a buffer that the caller wipes.
func pad(password []byte) []byte {
	b := make([]byte, padded)
	binary.BigEndian.PutUint16(b, uint16(len(password)))
	copy(b[2:], password)
	return b
}

// unpad returns the password, a part of plain.
func unpad(plain []byte) ([]byte, error) {
	if len(plain) != padded {
		return nil, damaged("the sealed content has a wrong length")
	}
	n := int(binary.BigEndian.Uint16(plain))
	if n > secrets.MaxPassword {
		return nil, damaged("the sealed content has a wrong length")
	}
	return plain[2 : 2+n], nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: the file is damaged: %s", fault.ErrMalformed, fmt.Sprintf(format, args...))
}
