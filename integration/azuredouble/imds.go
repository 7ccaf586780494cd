package azuredouble

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Identity is a managed identity that is assigned to the host.
type Identity struct {
	System               bool // the host's own; the others are user-assigned
	ObjectID             string
	ClientID, ResourceID string
}

// Assign makes a managed identity and assigns it to the host.
func (d *Double) Assign(system bool) Identity {
	id := Identity{System: system, ObjectID: NewID(), ClientID: NewID()}
	id.ResourceID = "/subscriptions/" + NewID() + "/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + id.ObjectID[:8]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.identities = append(d.identities, &id)
	return id
}

// identity finds the one that a request means. Without a system-assigned
// identity, the only user-assigned one is meant by a request that names none.
func (d *Double) identity(r *http.Request) (id Identity, problem string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := r.URL.Query()
	resource := q.Get("mi_res_id") + q.Get("msi_res_id") // the documented name, and the one that is sent
	named := 0
	for _, given := range []string{q.Get("object_id"), q.Get("client_id"), resource} {
		if given != "" {
			named++
		}
	}
	if named > 1 {
		return Identity{}, "Multiple identity parameters"
	}
	var found []*Identity
	for _, i := range d.identities {
		is := i.System
		switch {
		case q.Get("object_id") != "":
			is = i.ObjectID == q.Get("object_id")
		case q.Get("client_id") != "":
			is = i.ClientID == q.Get("client_id")
		case resource != "":
			is = strings.EqualFold(i.ResourceID, resource)
		}
		if is {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 1:
		return *found[0], ""
	case named == 0 && len(d.identities) == 1:
		return *d.identities[0], ""
	case named == 0 && len(d.identities) > 1:
		return Identity{}, "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"
	}
	return Identity{}, "Identity not found"
}

func (d *Double) imds(w http.ResponseWriter, r *http.Request) {
	bad := func(code, description string) {
		answer(w, http.StatusBadRequest, map[string]any{"error": code, "error_description": description + " " + Canary})
	}
	q := r.URL.Query()
	switch {
	case r.URL.Path != "/metadata/identity/oauth2/token":
		answer(w, http.StatusNotFound, map[string]any{"error": "not_found"})
		return
	case r.Method != http.MethodGet:
		answer(w, http.StatusMethodNotAllowed, map[string]any{"error": "Method Not Allowed"})
		return
	case r.Header.Get("Metadata") != "true", r.Header.Get("X-Forwarded-For") != "":
		bad("invalid_request", "Required metadata header not specified")
		return
	case q.Get("api-version") < "2018-02-01":
		bad("bad_request_102", "Required metadata header not specified or api-version")
		return
	case q.Get("resource") == "":
		bad("invalid_request", "Required audience parameter not specified")
		return
	}
	if _, ok := cloudOf(func(c cloud) bool { return c.audience == q.Get("resource") }); !ok {
		bad("invalid_resource", "AADSTS500011: The resource principal was not found in the tenant.")
		return
	}
	id, problem := d.identity(r)
	if problem != "" {
		bad("invalid_request", problem)
		return
	}
	text, expires := d.issue(q.Get("resource"), id.ClientID, id.ObjectID)
	left := strconv.Itoa(int(time.Until(expires) / time.Second))
	answer(w, http.StatusOK, map[string]any{ // numbers are texts, here
		"access_token": text, "client_id": id.ClientID, "token_type": "Bearer", "resource": q.Get("resource"),
		"expires_in": left, "ext_expires_in": left, "expires_on": strconv.FormatInt(expires.Unix(), 10),
		"not_before": strconv.FormatInt(time.Now().Unix(), 10),
	})
}
