package azuredouble

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Application is registered in the tenant.
type Application struct {
	ClientID, ObjectID string // ObjectID is that of its service principal

	certificates []*x509.Certificate
	subjects     []string // of federated credentials
}

// Register registers an application.
func (d *Double) Register() Application {
	a := &Application{ClientID: NewID(), ObjectID: NewID()}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.applications[a.ClientID] = a
	return *a
}

// AddCertificate has an application authenticate with a certificate's key.
func (d *Double) AddCertificate(clientID string, cert *x509.Certificate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.applications[clientID]
	a.certificates = append(a.certificates, cert)
}

// Federate has an application authenticate with the token of a Kubernetes
// service account, "system:serviceaccount:NAMESPACE:NAME", of the double's
// cluster.
func (d *Double) Federate(clientID, subject string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.applications[clientID]
	a.subjects = append(a.subjects, subject)
}

// application is a copy of the one with the client id.
func (d *Double) application(clientID string) (Application, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.applications[clientID]
	if !ok {
		return Application{}, false
	}
	c := *a
	c.certificates, c.subjects = slices.Clone(a.certificates), slices.Clone(a.subjects)
	return c, true
}

func (d *Double) entra(w http.ResponseWriter, r *http.Request) {
	tenant, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	base := "https://" + r.Host + "/" + tenant
	switch {
	case r.URL.Path == "/common/discovery/instance" && r.Method == http.MethodGet:
		answer(w, http.StatusOK, map[string]any{
			"tenant_discovery_endpoint": "https://" + r.Host + "/" + d.Tenant + "/v2.0/.well-known/openid-configuration",
			"api-version":               "1.1",
			"metadata":                  []any{map[string]any{"preferred_network": r.Host, "preferred_cache": r.Host, "aliases": []string{r.Host}}},
		})
	case tenant != d.Tenant:
		refuse(w, http.StatusBadRequest, "invalid_request", 90002, "Tenant '"+tenant+"' not found.")
	case path == "v2.0/.well-known/openid-configuration" && r.Method == http.MethodGet:
		answer(w, http.StatusOK, map[string]any{
			"authorization_endpoint": base + "/oauth2/v2.0/authorize", "token_endpoint": base + "/oauth2/v2.0/token",
			"issuer": base + "/v2.0", "jwks_uri": base + "/discovery/v2.0/keys",
			"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		})
	case path == "oauth2/v2.0/token" && r.Method == http.MethodPost:
		d.grant(w, r, base+"/oauth2/v2.0/token")
	default:
		http.Error(w, Canary, http.StatusNotFound)
	}
}

// grant answers a request for a token by client credentials.
func (d *Double) grant(w http.ResponseWriter, r *http.Request, endpoint string) {
	f := r.PostForm
	// Beside the scope of the resource, MSAL asks for those of OpenID Connect.
	var audience string
	for scope := range strings.FieldsSeq(f.Get("scope")) {
		if of, ok := strings.CutSuffix(scope, "/.default"); ok {
			audience = of
		}
	}
	_, known := cloudOf(func(c cloud) bool { return c.audience == audience && c.login == r.Host })
	app, registered := d.application(f.Get("client_id"))
	switch {
	case f.Get("grant_type") != "client_credentials":
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", 70003, "The grant type is not supported.")
		return
	case !registered:
		refuse(w, http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier was not found in the directory.")
		return
	case !known:
		refuse(w, http.StatusBadRequest, "invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.")
		return
	case f.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		refuse(w, http.StatusUnauthorized, "invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
		return
	}
	if code, problem := d.check(f.Get("client_assertion"), app, endpoint); code != 0 {
		refuse(w, http.StatusUnauthorized, "invalid_client", code, problem)
		return
	}
	text, expires := d.issue(audience, app.ClientID, app.ObjectID)
	left := int(time.Until(expires) / time.Second)
	answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": left, "ext_expires_in": left, "access_token": text})
}

// refuse answers as the token endpoint does.
func refuse(w http.ResponseWriter, status int, kind string, code int, text string) {
	answer(w, status, map[string]any{
		"error": kind, "error_codes": []int{code}, "timestamp": time.Now().UTC().Format("2006-01-02 15:04:05Z"),
		"error_description": fmt.Sprintf("AADSTS%d: %s %s Trace ID: %s", code, text, Canary, NewID()),
		"trace_id":          NewID(), "correlation_id": NewID(),
	})
}
