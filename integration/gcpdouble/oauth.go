package gcpdouble

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const tokenURL = "https://oauth2.googleapis.com/token"

// ServiceAccount is one that has keys, or that others may impersonate.
type ServiceAccount struct {
	Email string

	d             *Double
	keys          map[string]*rsa.PrivateKey // by id
	impersonators map[string]bool            // principals
}

// keys are made once for a process, for that takes long: doubles share them.
var accountKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// ServiceAccount makes a service account, which has no key.
func (d *Double) ServiceAccount(email string) *ServiceAccount {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := &ServiceAccount{Email: email, d: d, keys: map[string]*rsa.PrivateKey{}, impersonators: map[string]bool{}}
	d.accounts[email] = a
	return a
}

// Principal is the account's name in policies.
func (a *ServiceAccount) Principal() string { return "serviceAccount:" + a.Email }

// KeyFile makes a key and returns it as Google has one download it. Keys differ
// in their ids, and not in what they sign with.
func (a *ServiceAccount) KeyFile() ([]byte, error) {
	key, err := accountKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	id := hex.EncodeToString(b)
	a.d.mu.Lock()
	a.keys[id] = key
	a.d.mu.Unlock()
	_, project, _ := strings.Cut(a.Email, "@")
	project, _, _ = strings.Cut(project, ".")
	return json.MarshalIndent(map[string]string{
		"type": "service_account", "project_id": project, "private_key_id": id,
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": a.Email, "client_id": "123456789012345678901",
		"auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": tokenURL,
		"auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
		"client_x509_cert_url":        "https://www.googleapis.com/robot/v1/metadata/x509/" + url.PathEscape(a.Email),
		"universe_domain":             "googleapis.com",
	}, "", "  ")
}

// DeleteKeys deletes the account's keys.
func (a *ServiceAccount) DeleteKeys() {
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	clear(a.keys)
}

// oauth answers POST /token for service accounts with a key (RFC 7523).
func (d *Double) oauth(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/token" {
		page(w, http.StatusNotFound)
		return
	}
	if r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		refuseOAuth(w, http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+Canary)
		return
	}
	a, ok := parse(r.PostForm.Get("assertion"))
	if !ok {
		refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT: Failed audience check. "+Canary)
		return
	}
	d.mu.Lock()
	account := d.accounts[a.claims.Issuer]
	var key *rsa.PrivateKey
	if account != nil {
		key = account.keys[a.keyID]
	}
	d.mu.Unlock()
	now := time.Now()
	issued, expires := time.Unix(a.claims.Issued, 0), time.Unix(a.claims.Expires, 0)
	switch {
	case account == nil:
		refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "Invalid grant: account not found")
	case key == nil || !a.signedBy(key):
		refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT Signature.")
	case !a.claims.isFor(tokenURL):
		refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT: Failed audience check. "+Canary)
	case issued.After(now.Add(skew)), expires.Before(now.Add(-skew)), expires.Sub(issued) > time.Hour+time.Minute:
		refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
	case a.claims.Scope == "":
		refuseOAuth(w, http.StatusBadRequest, "invalid_scope", "Invalid OAuth scope or ID token audience provided.")
	default:
		text, until := d.issue(account.Principal(), strings.Fields(a.claims.Scope))
		answer(w, http.StatusOK, map[string]any{"access_token": text, "expires_in": left(until), "token_type": "Bearer"})
	}
}
