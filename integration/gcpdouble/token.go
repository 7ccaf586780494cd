package gcpdouble

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

// token is an access token that was issued.
type token struct {
	principal string
	scopes    []string
	expires   time.Time
}

// lifetime is that of the tokens to come.
type lifetime struct {
	valid time.Duration // as the services see it; 0: an hour
	said  time.Duration // as the client is told; 0: valid
}

// TokenLifetime sets for how long the tokens to come are valid, and what the
// client is told of it: the two differ where its clock is wrong, and where a
// token is revoked.
func (d *Double) TokenLifetime(valid, said time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lifetime = lifetime{valid, said}
}

// RevokeTokens has every token refused that was issued so far.
func (d *Double) RevokeTokens() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.tokens)
}

// Tokens returns every access token that was issued.
func (d *Double) Tokens() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.issued)
}

// issue makes an access token, and says when the client is to think that it
// expires. Real ones are as opaque.
func (d *Double) issue(principal string, scopes []string) (text string, expires time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	valid := d.lifetime.valid
	if valid == 0 {
		valid = time.Hour
	}
	said := d.lifetime.said
	if said == 0 {
		said = valid
	}
	b := make([]byte, 120)
	_, _ = rand.Read(b) // never fails
	text = "ya29.c." + base64.RawURLEncoding.EncodeToString(b)
	now := time.Now()
	d.tokens[text] = &token{principal, scopes, now.Add(valid)}
	d.issued = append(d.issued, text)
	return text, now.Add(said)
}

// left is what a client is told in seconds.
func left(expires time.Time) int { return int(time.Until(expires).Round(time.Second) / time.Second) }

// authenticate finds out whose token a request has. It answers if there is
// none that is good.
func (d *Double) authenticate(w http.ResponseWriter, r *http.Request) (token, bool) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Request is missing required authentication credential.", "CREDENTIALS_MISSING")
		return token{}, false
	}
	d.mu.Lock()
	t := d.tokens[text]
	d.mu.Unlock()
	if t == nil || t.expires.Before(time.Now()) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials.", "ACCESS_TOKEN_TYPE_UNSUPPORTED")
		return token{}, false
	}
	return *t, true
}
