package gcpdouble

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// issuer signs the tokens that workload identity pools trust.
const issuer = "https://oidc.gcpdouble.example/"

var issuerKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// Provider is an OpenID Connect provider of a workload identity pool.
type Provider struct {
	// Audience is "//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER".
	Audience string

	d        *Double
	pool     string // "projects/NUMBER/…/POOL"
	subjects map[string]bool
	disabled bool
}

// Provider makes a pool in a project, with one provider, which trusts nobody.
func (d *Double) Provider(p *Project, pool, provider string) *Provider {
	at := "projects/" + p.Number + "/locations/global/workloadIdentityPools/" + pool
	o := &Provider{Audience: "//iam.googleapis.com/" + at + "/providers/" + provider, d: d, pool: at, subjects: map[string]bool{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.providers[o.Audience] = o
	return o
}

// Trust has the provider map a subject, and returns its name in policies.
func (o *Provider) Trust(subject string) (principal string) {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	o.subjects[subject] = true
	return o.principal(subject)
}

func (o *Provider) principal(subject string) string {
	return "principal://iam.googleapis.com/" + o.pool + "/subject/" + subject
}

// Disable disables the provider.
func (o *Provider) Disable(disabled bool) {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	o.disabled = disabled
}

// SubjectToken is a token of a subject for the provider. It is valid from now
// on, or, with a negative time, until that long ago.
func (o *Provider) SubjectToken(subject string, valid time.Duration) (string, error) {
	key, err := issuerKey()
	if err != nil {
		return "", err
	}
	now := time.Now()
	audience, err := json.Marshal([]string{"https:" + o.Audience})
	if err != nil {
		return "", err
	}
	return signed(key, "cluster", claims{
		Issuer: issuer, Subject: subject, Audience: audience, Issued: now.Add(-24 * time.Hour).Unix(), Expires: now.Add(valid).Unix(),
	})
}

// Impersonate lets a principal be a service account: the role Workload Identity
// User, given on the account.
func (a *ServiceAccount) Impersonate(principal string) {
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	a.impersonators[principal] = true
}

// ImpersonationURL is the account's, as credential configurations have it.
func (a *ServiceAccount) ImpersonationURL() string {
	return "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" + a.Email + ":generateAccessToken"
}

// sts answers POST /v1/token (RFC 8693).
func (d *Double) sts(w http.ResponseWriter, r *http.Request) {
	f := r.PostForm
	if r.Method != http.MethodPost || r.URL.Path != "/v1/token" {
		page(w, http.StatusNotFound)
		return
	}
	d.mu.Lock()
	o := d.providers[f.Get("audience")]
	disabled := o != nil && o.disabled
	d.mu.Unlock()
	a, parsed := parse(f.Get("subject_token"))
	key, err := issuerKey()
	switch {
	case f.Get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange",
		f.Get("requested_token_type") != "urn:ietf:params:oauth:token-type:access_token",
		f.Get("subject_token_type") != "urn:ietf:params:oauth:token-type:jwt" && f.Get("subject_token_type") != "urn:ietf:params:oauth:token-type:id_token",
		f.Get("scope") == "", err != nil:
		refuseOAuth(w, http.StatusBadRequest, "invalid_request", "Invalid value. "+Canary)
	case o == nil || disabled:
		refuseOAuth(w, http.StatusBadRequest, "invalid_target", "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.")
	case !parsed || a.claims.Issuer != issuer:
		refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "Unable to parse the ID Token. "+Canary)
	case !a.claims.isFor("https:"+o.Audience, o.Audience):
		refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "The audience in ID Token does not match the expected audience. "+Canary)
	case !a.signedBy(key):
		refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "Error connecting to the given credential's issuer. "+Canary)
	case time.Unix(a.claims.Expires, 0).Before(time.Now().Add(-skew)):
		refuseOAuth(w, http.StatusBadRequest, "invalid_grant", "ID Token issued at "+Canary+" is stale to sign-in.")
	case !o.trusts(a.claims.Subject):
		refuseOAuth(w, http.StatusBadRequest, "unauthorized_client", "The given credential is rejected by the attribute condition.")
	default:
		text, until := d.issue(o.principal(a.claims.Subject), strings.Fields(f.Get("scope")))
		answer(w, http.StatusOK, map[string]any{
			"access_token": text, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": left(until),
		})
	}
}

func (o *Provider) trusts(subject string) bool {
	o.d.mu.Lock()
	defer o.d.mu.Unlock()
	return o.subjects[subject]
}

// iam answers POST /v1/projects/-/serviceAccounts/EMAIL:generateAccessToken.
func (d *Double) iam(w http.ResponseWriter, r *http.Request) {
	name, is := strings.CutPrefix(r.URL.Path, "/v1/projects/-/serviceAccounts/")
	email, does := strings.CutSuffix(name, ":generateAccessToken")
	if !is || !does || r.Method != http.MethodPost {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "Method not found.", "")
		return
	}
	t, ok := d.authenticate(w, r)
	if !ok {
		return
	}
	var asked struct {
		Scope    []string `json:"scope"`
		Lifetime string   `json:"lifetime"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Scope) == 0 {
		refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT", "Scope required.", "")
		return
	}
	if valid, err := time.ParseDuration(asked.Lifetime); err != nil || valid > time.Hour {
		refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT", "The access token lifetime cannot exceed 3600s.", "")
		return
	}
	d.mu.Lock()
	account := d.accounts[email]
	may := account != nil && account.impersonators[t.principal]
	d.mu.Unlock()
	switch {
	case account == nil:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "Not found; Gaia id not found for email "+email, "")
	case !may:
		refuse(w, http.StatusForbidden, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).", "IAM_PERMISSION_DENIED")
	default:
		text, until := d.issue(account.Principal(), asked.Scope)
		answer(w, http.StatusOK, map[string]any{"accessToken": text, "expireTime": until.UTC().Format(time.RFC3339)})
	}
}
