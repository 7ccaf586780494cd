package gcpdouble

import (
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Scope is the one that Secret Manager wants tokens to have.
const Scope = "https://www.googleapis.com/auth/cloud-platform"

// Project is one with secrets. Its methods may be called while it serves.
type Project struct {
	ID, Number string

	d        *Double
	disabled bool               // the API
	allowed  map[string]bool    // principals, for all secrets
	secrets  map[string]*secret // by name: "secrets/S", "locations/L/secrets/S"
}

type secret struct {
	allowed  map[string]bool
	versions []*version
	aliases  map[string]int
}

type version struct {
	data  []byte
	state State
}

// State is that of a version.
type State string

// The states of a version.
const (
	Enabled   State = "ENABLED"
	Disabled  State = "DISABLED"
	Destroyed State = "DESTROYED"
)

// Project makes a project, from whose secrets nobody may read.
func (d *Double) Project(id string) *Project {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &Project{ID: id, Number: fmt.Sprintf("1%011d", len(d.projects)), d: d, allowed: map[string]bool{}, secrets: map[string]*secret{}}
	d.projects = append(d.projects, p)
	return p
}

// Allow lets a principal read all secrets of the project, and know which there
// are: the role Secret Manager Secret Accessor, given on the project.
func (p *Project) Allow(principal string) { p.allow(principal, true) }

// Forbid takes that from it.
func (p *Project) Forbid(principal string) { p.allow(principal, false) }

func (p *Project) allow(principal string, is bool) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.allowed[principal] = is
}

// AllowOne lets a principal read one secret, which there must be: the same role
// given on the secret. Of others it does not even get to know whether they are
// there.
func (p *Project) AllowOne(principal, name string) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if s := p.secrets[name]; s != nil {
		s.allowed[principal] = true
	}
}

// DisableAPI disables the Secret Manager API in the project.
func (p *Project) DisableAPI(disabled bool) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.disabled = disabled
}

// Add adds a version to a secret, which is made if need be, and returns its
// number. A secret's name is "secrets/S", or "locations/L/secrets/S".
func (p *Project) Add(name string, data []byte) string {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	s := p.secrets[name]
	if s == nil {
		s = &secret{allowed: map[string]bool{}, aliases: map[string]int{}}
		p.secrets[name] = s
	}
	s.versions = append(s.versions, &version{slices.Clone(data), Enabled})
	return strconv.Itoa(len(s.versions))
}

// Set sets the state of a version. What is destroyed stays so.
func (p *Project) Set(name, number string, state State) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if s := p.secrets[name]; s != nil {
		if v := s.find(number); v > 0 && s.versions[v-1].state != Destroyed {
			s.versions[v-1].state = state
		}
	}
}

// Alias has a name stand for a version.
func (p *Project) Alias(name, alias, number string) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if s := p.secrets[name]; s != nil {
		s.aliases[alias] = s.find(number)
	}
}

// Delete deletes a secret with all its versions.
func (p *Project) Delete(name string) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	delete(p.secrets, name)
}

// find returns the number that a version is meant by; 0 if there is none. The
// latest one is the last that was added, whatever its state.
func (s *secret) find(v string) int {
	if v == "latest" {
		return len(s.versions)
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return s.aliases[v]
	}
	if n < 1 || n > len(s.versions) {
		return 0
	}
	return n
}

// secretManager answers GET /v1/projects/P[/locations/L]/secrets/S/versions/V:access.
func (d *Double) secretManager(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "X-Origin, Referer, Origin,Accept-Encoding")
	w.Header().Set("Server", "ESF")
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/"), ":access")
	parts := strings.Split(name, "/")
	if n := len(parts); !ok || r.Method != http.MethodGet || n != 6 && n != 8 || parts[0] != "projects" || parts[n-4] != "secrets" || parts[n-2] != "versions" {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "Method not found.", "")
		return
	}
	t, ok := d.authenticate(w, r)
	if !ok {
		return
	}
	if !slices.Contains(t.scopes, Scope) {
		refuse(w, http.StatusForbidden, "PERMISSION_DENIED", "Request had insufficient authentication scopes.", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
		return
	}
	if !here(r.Host, parts) {
		refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT", "The requested location does not match the endpoint.", "")
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.access(w, parts, t)
}

// here says whether a resource is one of the endpoint that was asked.
func here(host string, parts []string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	for _, l := range Locations {
		if host == regional(l) {
			return len(parts) == 8 && parts[3] == l
		}
	}
	return host != "secretmanager.googleapis.com" || len(parts) == 6
}

// access answers one who has a token.
func (d *Double) access(w http.ResponseWriter, parts []string, t token) {
	denied := func() {
		refuse(w, http.StatusForbidden, "PERMISSION_DENIED", "Permission 'secretmanager.versions.access' denied for resource '"+strings.Join(parts, "/")+"' (or it may not exist).", "IAM_PERMISSION_DENIED")
	}
	i := slices.IndexFunc(d.projects, func(p *Project) bool { return p.ID == parts[1] || p.Number == parts[1] })
	if i < 0 {
		denied()
		return
	}
	p := d.projects[i]
	if p.disabled {
		refuse(w, http.StatusForbidden, "PERMISSION_DENIED", "Secret Manager API has not been used in project "+p.Number+" before or it is disabled.", "SERVICE_DISABLED")
		return
	}
	n := len(parts)
	full := "projects/" + p.Number + "/" + strings.Join(parts[2:n-2], "/")
	s := p.secrets[strings.Join(parts[2:n-2], "/")]
	switch {
	case !p.allowed[t.principal] && (s == nil || !s.allowed[t.principal]):
		denied()
		return
	case s == nil:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "Secret ["+full+"] not found or has no versions.", "")
		return
	}
	v := s.find(parts[n-1])
	if v == 0 {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "Secret Version ["+full+"/versions/"+parts[n-1]+"] not found.", "")
		return
	}
	full += "/versions/" + strconv.Itoa(v)
	if state := s.versions[v-1].state; state != Enabled {
		refuse(w, http.StatusBadRequest, "FAILED_PRECONDITION", fmt.Sprintf("Secret Version [%s] is in %s state.", full, state), "")
		return
	}
	data := s.versions[v-1].data
	answer(w, http.StatusOK, map[string]any{"name": full, "payload": map[string]any{
		"data":       base64.StdEncoding.EncodeToString(data),
		"dataCrc32c": strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 10),
	}})
}
