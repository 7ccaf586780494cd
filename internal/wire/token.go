package wire

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
)

// TokenPrefix begins every grant token, so that a person and a secret scanner
// can tell one when they see it.
const TokenPrefix = "gmsa1."

// tokenBytes is the size of a token's random part: 256 bits, as nothing but
// its being unguessable stands between a service account and a grant.
const tokenBytes = 32

// NewToken makes a grant token: [TokenPrefix] and 32 random bytes in unpadded
// base64url, 49 characters. The error is always nil on the platforms that Go
// supports today.
func NewToken() (string, error) {
	var b [tokenBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return TokenPrefix + base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// ValidToken says whether s has the form of a grant token.
func ValidToken(s string) bool {
	random, ok := strings.CutPrefix(s, TokenPrefix)
	if !ok || len(random) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return false
	}
	// Strict: the two spare bits of the last character must be zero, so that a
	// token has one spelling only. Its decoder skips line breaks all the same.
	if strings.ContainsAny(random, "\r\n") {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(random)
	return err == nil
}
