package gcpdouble

import (
	"net/http"
	"strings"
)

// attached is the service account of the machine.
type attached struct {
	email  string
	scopes []string // the machine's access scopes
}

// Attach has the machine run as a service account, with these access scopes;
// [Scope] if there are none.
func (d *Double) Attach(email string, scopes ...string) {
	if len(scopes) == 0 {
		scopes = []string{Scope}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attached = &attached{email, scopes}
}

// Detach has the machine run as nobody.
func (d *Double) Detach() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attached = nil
}

// metadata answers GET /computeMetadata/v1/instance/service-accounts/default/token.
func (d *Double) metadata(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Metadata-Flavor", "Google")
	w.Header().Set("Server", "Metadata Server for VM")
	d.mu.Lock()
	a := d.attached
	d.mu.Unlock()
	switch {
	case r.Header.Get("Metadata-Flavor") != "Google", r.Header.Get("X-Forwarded-For") != "":
		page(w, http.StatusForbidden)
	case r.Method != http.MethodGet:
		page(w, http.StatusMethodNotAllowed)
	case a == nil || r.URL.Path != "/computeMetadata/v1/instance/service-accounts/default/token" && r.URL.Path != "/computeMetadata/v1/instance/service-accounts/"+a.email+"/token":
		page(w, http.StatusNotFound)
	default:
		// The scopes that a request names are those of GKE's metadata server;
		// a machine's are its own.
		text, expires := d.issue("serviceAccount:"+a.email, a.scopes)
		answer(w, http.StatusOK, map[string]any{"access_token": text, "expires_in": left(expires), "token_type": "Bearer"})
	}
}

// page is how the metadata server refuses.
func page(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("<!DOCTYPE html><title>Error " + strings.ToLower(http.StatusText(status)) + "</title>" + Canary)) // the client may have left
}
