package gcpdouble

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// skew is how far Google lets clocks differ.
const skew = 5 * time.Minute

// assertion is a JWT that was signed with RS256, taken apart.
type assertion struct {
	keyID  string
	claims claims
	hash   [sha256.Size]byte
	sig    []byte
}

type claims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub,omitempty"`
	Audience json.RawMessage `json:"aud"` // a text, or a list
	Scope    string          `json:"scope,omitempty"`
	Issued   int64           `json:"iat"`
	Expires  int64           `json:"exp"`
}

func (c claims) isFor(audience ...string) bool {
	var one string
	var list []string
	if json.Unmarshal(c.Audience, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(c.Audience, &list) != nil {
		return false
	}
	return slices.ContainsFunc(list, func(a string) bool { return slices.Contains(audience, a) })
}

func parse(text string) (a assertion, ok bool) {
	parts := strings.Split(text, ".")
	var h struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
	}
	if len(parts) != 3 || !decode(parts[0], &h) || !decode(parts[1], &a.claims) || h.Algorithm != "RS256" {
		return a, false
	}
	a.keyID, a.hash = h.KeyID, sha256.Sum256([]byte(parts[0]+"."+parts[1]))
	var err error
	a.sig, err = base64.RawURLEncoding.DecodeString(parts[2])
	return a, err == nil
}

func (a assertion) signedBy(key *rsa.PrivateKey) bool {
	return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, a.hash[:], a.sig) == nil
}

func decode(part string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, into) == nil
}

func signed(key *rsa.PrivateKey, keyID string, c claims) (string, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	head, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": keyID})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	text := b64(head) + "." + b64(body)
	hash := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash[:])
	return text + "." + b64(sig), err
}
