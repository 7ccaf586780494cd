// Package script is how a test of the CCG plugin tells its server what to do:
// the grant token itself says it, as the server has no other state.
package script

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// size is that of a token's random part.
const size = 32

// Token is a valid token that carries a line of the script, of 1 to 32 bytes.
func Token(line string) string {
	if len(line) == 0 || len(line) > size {
		panic(fmt.Sprintf("a line of %d bytes", len(line)))
	}
	var b [size]byte
	copy(b[:], line)
	return wire.TokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// Line is what the token carries.
func Line(token string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(token[len(wire.TokenPrefix):])
	return string(bytes.TrimRight(b, "\x00")), err
}

// The lines.
const (
	// Release answers with what Answer says.
	Release = "release"
	// Refuse, followed by a code's number, refuses with it.
	Refuse = "refuse "
	// Hang reads the question and answers nothing.
	Hang = "hang"
	// CutOff closes without an answer.
	CutOff = "cut off"
	// CutWithin closes in the middle of a frame.
	CutWithin = "cut within"
	// NotAFrame answers with another protocol.
	NotAFrame = "not a frame"
	// Huge announces a payload of 4 GiB.
	Huge = "huge"
	// Trailing answers with a release and more in the same payload.
	Trailing = "trailing"
	// NoPassword answers with a release whose password is empty.
	NoPassword = "no password"
	// ANUL answers with a release whose user holds a NUL.
	ANUL = "a nul"
	// NotText answers with a release whose password is not UTF-8.
	NotText = "not text"
	// Version answers in another version of the protocol.
	Version = "version"
	// Largest answers with the largest release that there is.
	Largest = "largest"
)

// Answer is the release for a token, so that a caller can tell its own from
// everybody else's.
func Answer(token string) wire.Release {
	return wire.Release{Domain: "contoso.com", User: "user-" + token, Password: []byte("pä$$-" + token)}
}
