package azuredouble

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"
)

// The issuer and the audience of service accounts' tokens.
const (
	issuer           = "https://oidc.azuredouble.example/"
	exchangeAudience = "api://AzureADTokenExchange"
)

// cluster signs service accounts' tokens. Making it takes long: the doubles of
// a process have the same, and those that need none make none.
var cluster = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// skew is how far Entra ID lets clocks differ.
const skew = 5 * time.Minute

// claims are those of a client assertion.
type claims struct {
	Issuer    string          `json:"iss"`
	Subject   string          `json:"sub"`
	Audience  json.RawMessage `json:"aud"` // a text, or a list with one
	NotBefore int64           `json:"nbf"`
	Expires   int64           `json:"exp"`
}

// header is that of a signed JWT. Some clients write the thumbprints in base64
// and not in base64url.
type header struct {
	Algorithm string `json:"alg"`
	SHA1      string `json:"x5t,omitempty"`
	SHA256    string `json:"x5t#S256,omitempty"`
}

func (c claims) isFor(audience string) bool {
	var one string
	var list []string
	return json.Unmarshal(c.Audience, &one) == nil && one == audience ||
		json.Unmarshal(c.Audience, &list) == nil && slices.Contains(list, audience)
}

// ServiceAccountToken is what a kubelet projects for a service account. It is
// valid from now on, or, with a negative time, until that long ago.
func (d *Double) ServiceAccountToken(subject string, valid time.Duration) (string, error) {
	key, err := cluster()
	if err != nil {
		return "", err
	}
	now := time.Now()
	c := map[string]any{
		"iss": issuer, "sub": subject, "aud": []string{exchangeAudience},
		"iat": now.Add(-24 * time.Hour).Unix(), "nbf": now.Add(-24 * time.Hour).Unix(), "exp": now.Add(valid).Unix(),
	}
	body, _ := json.Marshal(c) // strings and numbers
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + b64(body)
	hash := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash[:])
	return signed + "." + b64(signature), err
}

// check checks a client assertion: one of the cluster's service accounts, or
// one that the application signed with its certificate's key. It returns the
// number of Entra ID's error, 0 for none.
func (d *Double) check(assertion string, app Application, endpoint string) (code int, problem string) {
	parts := strings.Split(assertion, ".")
	var h header
	var c claims
	if len(parts) != 3 || !decode(parts[0], &h) || !decode(parts[1], &c) {
		return 50027, "JWT token is invalid or malformed."
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return 50027, "JWT token is invalid or malformed."
	}
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	now := time.Now()
	if time.Unix(c.NotBefore, 0).After(now.Add(skew)) || time.Unix(c.Expires, 0).Before(now.Add(-skew)) {
		return 700024, "Client assertion is not within its valid time range."
	}
	if c.Issuer == issuer {
		key, err := cluster()
		switch {
		case err != nil:
			return 50027, "The issuer's key cannot be had."
		case !slices.Contains(app.subjects, c.Subject):
			return 700213, "No matching federated identity record found for presented assertion subject."
		case !c.isFor(exchangeAudience):
			return 700212, "No matching federated identity record found for presented assertion audience."
		case !verify(h.Algorithm, &key.PublicKey, hash[:], signature):
			return 50027, "JWT token signature is invalid."
		}
		return 0, ""
	}
	cert := find(app.certificates, h)
	switch {
	case cert == nil:
		return 700027, "The certificate with identifier used to sign the client assertion is not registered on application."
	case c.Issuer != app.ClientID || c.Subject != app.ClientID:
		return 700021, "Client assertion application identifier doesn't match 'client_id' parameter."
	case !c.isFor(endpoint):
		return 700023, "Client assertion audience claim does not match Realm issuer."
	}
	if key, ok := cert.PublicKey.(*rsa.PublicKey); !ok || !verify(h.Algorithm, key, hash[:], signature) {
		return 700027, "Client assertion failed signature validation."
	}
	return 0, ""
}

func find(certs []*x509.Certificate, h header) *x509.Certificate {
	plain := func(s string) string {
		return strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(s), "=")
	}
	for _, cert := range certs {
		old, current := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw)
		b64 := base64.RawURLEncoding.EncodeToString
		if h.SHA1 != "" && plain(h.SHA1) == b64(old[:]) || h.SHA256 != "" && plain(h.SHA256) == b64(current[:]) {
			return cert
		}
	}
	return nil
}

func verify(algorithm string, key *rsa.PublicKey, hash, signature []byte) bool {
	switch algorithm {
	case "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, hash, signature) == nil
	case "PS256":
		return rsa.VerifyPSS(key, crypto.SHA256, hash, signature, nil) == nil
	}
	return false
}

func decode(part string, into any) bool {
	b, err := base64.RawURLEncoding.DecodeString(part)
	return err == nil && json.Unmarshal(b, into) == nil
}
