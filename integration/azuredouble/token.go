package azuredouble

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"time"
)

// token is an access token that was issued.
type token struct {
	audience, tenant string
	client, object   string
	expires          time.Time
}

// lifetime is that of the tokens to come.
type lifetime struct {
	valid time.Duration // as the vaults see it; 0: a day, as IMDS has it
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

// RevokeTokens has the vaults refuse every token that was issued so far.
func (d *Double) RevokeTokens() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.tokens)
}

// Tokens returns every access token that was issued.
func (d *Double) Tokens() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.issued...)
}

// issue makes an access token. It has the form of a real one, which nobody but
// the service that it is for may look into; the signature is random.
func (d *Double) issue(audience, client, object string) (text string, expires time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	valid := d.lifetime.valid
	if valid == 0 {
		valid = 24 * time.Hour
	}
	said := d.lifetime.said
	if said == 0 {
		said = valid
	}
	t := &token{audience, d.Tenant, client, object, now.Add(valid)}
	claims := map[string]any{
		"aud": audience, "iss": "https://sts.windows.net/" + t.tenant + "/", "tid": t.tenant,
		"appid": client, "oid": object, "sub": object, "idtyp": "app", "ver": "1.0",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": t.expires.Unix(),
	}
	body, _ := json.Marshal(claims) // strings and numbers
	signature := make([]byte, 256)
	_, _ = rand.Read(signature) // never fails
	b64 := base64.RawURLEncoding.EncodeToString
	text = b64([]byte(`{"typ":"JWT","alg":"RS256"}`)) + "." + b64(body) + "." + b64(signature)
	d.tokens[text] = t
	d.issued = append(d.issued, text)
	return text, now.Add(said)
}

func (d *Double) lookup(text string) (token, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.tokens[text]
	if !ok {
		return token{}, false
	}
	return *t, true
}
