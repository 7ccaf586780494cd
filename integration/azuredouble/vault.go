package azuredouble

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Vault is one key vault. Its methods that change it may be called while it
// serves.
type Vault struct {
	// Host is its name, "contoso.vault.azure.net".
	Host string

	d       *Double
	cloud   cloud
	tenant  string
	allowed map[string]bool // object ids
	secrets map[string][]version
}

// version is one version of a secret.
type version struct {
	id, value    string
	contentType  string
	disabled     bool
	created      time.Time
	start, until time.Time // nbf and exp; zero for none
}

// Attributes are those of a version that can be changed.
type Attributes struct {
	ContentType string
	Disabled    bool
	NotBefore   time.Time
	Expires     time.Time
}

// Vault makes a vault, which nobody may read from, or returns the one with this
// host. It fails if no cloud has vaults of such a name.
func (d *Double) Vault(host string) (*Vault, error) {
	c, ok := cloudOfVault(host)
	if !ok {
		return nil, fmt.Errorf("%s is not a vault's host", host)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.vaults[host]
	if !ok {
		v = &Vault{Host: host, d: d, cloud: c, tenant: d.Tenant, allowed: map[string]bool{}, secrets: map[string][]version{}}
		d.vaults[host] = v
	}
	return v, nil
}

func (d *Double) vault(host string) *Vault {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.vaults[host]
}

// Move has the vault belong to another tenant.
func (v *Vault) Move(tenant string) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	v.tenant = tenant
}

// Allow lets a principal, by its object id, read the vault's secrets: the role
// Key Vault Secrets User.
func (v *Vault) Allow(objectID string) { v.allow(objectID, true) }

// Forbid takes that from it.
func (v *Vault) Forbid(objectID string) { v.allow(objectID, false) }

func (v *Vault) allow(objectID string, is bool) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	v.allowed[objectID] = is
}

// Set stores a new version of a secret and returns its id.
func (v *Vault) Set(name, value string) string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	id := hex.EncodeToString(b)
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	name = strings.ToLower(name)
	v.secrets[name] = append(v.secrets[name], version{id: id, value: value, created: time.Now()})
	return id
}

// Change changes the attributes of a secret's current version.
func (v *Vault) Change(name string, a Attributes) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	versions := v.secrets[strings.ToLower(name)]
	if len(versions) == 0 {
		return
	}
	last := &versions[len(versions)-1]
	last.contentType, last.disabled, last.start, last.until = a.ContentType, a.Disabled, a.NotBefore, a.Expires
}

// Delete deletes a secret with all its versions.
func (v *Vault) Delete(name string) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	delete(v.secrets, strings.ToLower(name))
}

// ServeHTTP answers GET /secrets/NAME[/VERSION].
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("x-ms-keyvault-region", "westeurope")
	h.Set("x-ms-keyvault-service-version", "1.9.2300.1")
	h.Set("x-ms-request-id", NewID())
	h.Set("Cache-Control", "no-cache")
	if problem := v.authenticate(r); problem != "" {
		v.d.mu.Lock()
		tenant := v.tenant
		v.d.mu.Unlock()
		h.Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization="https://%s/%s", resource="%s"`, v.cloud.login, tenant, v.cloud.audience))
		v.refuse(w, http.StatusUnauthorized, "Unauthorized", problem, "")
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) < 2 || len(parts) > 3 || parts[0] != "secrets":
		v.refuse(w, http.StatusNotFound, "NotFound", "No such resource.", "")
		return
	case r.Method != http.MethodGet:
		v.refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The double only reads.", "")
		return
	case r.URL.Query().Get("api-version") == "":
		v.refuse(w, http.StatusBadRequest, "BadParameter", "api-version must be specified", "")
		return
	}
	t, _ := v.d.lookup(bearer(r))
	found, problem, inner := v.find(parts[1:], t)
	switch problem {
	case "":
		v.serve(w, parts[1], found)
	case "SecretNotFound":
		v.refuse(w, http.StatusNotFound, problem, "A secret with (name/id) "+strings.Join(parts[1:], "/")+" was not found in this key vault. "+
			"If you recently deleted this secret you may be able to recover it using the correct recovery command.", "")
	default:
		v.refuse(w, http.StatusForbidden, problem, "Caller is not authorized to perform action on resource.\r\nAction: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'", inner)
	}
}

func bearer(r *http.Request) string {
	text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return text
}

// authenticate says what is wrong with a request's token, "" if nothing is.
func (v *Vault) authenticate(r *http.Request) string {
	text := bearer(r)
	if text == "" {
		return "AKV10000: Request is missing a Bearer or PoP token."
	}
	t, ok := v.d.lookup(text)
	v.d.mu.Lock()
	tenant := v.tenant
	v.d.mu.Unlock()
	switch {
	case !ok:
		return "AKV10046: Unable to resolve the key used for signature validation."
	case t.audience != v.cloud.audience:
		return "AKV10022: Invalid audience. Expected " + v.cloud.audience + ", found: " + t.audience + "."
	case t.tenant != tenant:
		return "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/" + tenant + "/."
	case t.expires.Before(time.Now()):
		return "Error validating token: 'IDX10223: Lifetime validation failed. The token is expired.'."
	}
	return ""
}

// find returns the version that a token's bearer may have. That a secret is
// disabled or absent is for those who may read.
func (v *Vault) find(path []string, t token) (found version, problem, inner string) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	if !v.allowed[t.object] {
		return version{}, "Forbidden", "ForbiddenByRbac"
	}
	versions := v.secrets[strings.ToLower(path[0])]
	if len(versions) == 0 {
		return version{}, "SecretNotFound", ""
	}
	found = versions[len(versions)-1]
	if len(path) == 2 {
		i := slices.IndexFunc(versions, func(x version) bool { return x.id == path[1] })
		if i < 0 {
			return version{}, "SecretNotFound", ""
		}
		found = versions[i]
	}
	if found.disabled {
		return version{}, "Forbidden", "SecretDisabled"
	}
	// A secret is given out before its nbf and after its exp, too:
	// https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#date-time-controlled-operations
	return found, "", ""
}

func (v *Vault) serve(w http.ResponseWriter, name string, s version) {
	attributes := map[string]any{
		"enabled": true, "created": s.created.Unix(), "updated": s.created.Unix(), "recoveryLevel": "Recoverable", "recoverableDays": 90,
	}
	if !s.start.IsZero() {
		attributes["nbf"] = s.start.Unix()
	}
	if !s.until.IsZero() {
		attributes["exp"] = s.until.Unix()
	}
	bundle := map[string]any{"value": s.value, "id": "https://" + v.Host + "/secrets/" + name + "/" + s.id, "attributes": attributes, "tags": map[string]string{}}
	if s.contentType != "" {
		bundle["contentType"] = s.contentType
	}
	answer(w, http.StatusOK, bundle)
}

func (v *Vault) refuse(w http.ResponseWriter, status int, code, message, inner string) {
	e := map[string]any{"code": code, "message": message + " " + Canary}
	if inner != "" {
		e["innererror"] = map[string]any{"code": inner}
	}
	answer(w, status, map[string]any{"error": e})
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, Canary, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have left
}
