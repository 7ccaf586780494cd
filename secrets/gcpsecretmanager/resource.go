package gcpsecretmanager

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// resource is the version of a secret that a reference names, in a project that
// is allowed, and the host that has it.
type resource struct {
	name     string // projects/P[/locations/L]/secrets/S/versions/V
	endpoint string // host or host:port
}

// dnsLabel is what a location has to be to stand in a host's name: it decides
// which of Google's hosts is asked.
var dnsLabel = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// resource reads a reference, and lets pass what the configuration lists.
func (s *Store) resource(ref secrets.Ref) (resource, error) {
	if canonical, err := secrets.ParseRef(ref.String()); err != nil || !canonical.Equal(ref) || ref.Scheme != Scheme {
		return resource{}, fmt.Errorf("not a reference to a secret of Google Secret Manager: %w", fault.ErrMalformed)
	}
	parts := strings.Split(ref.Rest, "/")
	switch project := parts[1]; {
	case len(s.cfg.Projects) == 0:
		return resource{}, fmt.Errorf("secrets.gcpsecretmanager.projects lists no project: %w", fault.ErrDenied)
	case !slices.Contains(s.cfg.Projects, project):
		return resource{}, fmt.Errorf("project %s is not among secrets.gcpsecretmanager.projects: %w", project, fault.ErrDenied)
	}
	r := resource{name: ref.Rest, endpoint: "secretmanager.googleapis.com"}
	if len(parts) == 8 {
		location := parts[3]
		if !dnsLabel.MatchString(location) {
			return resource{}, fmt.Errorf("the location is not one such as europe-west3: %w", fault.ErrMalformed)
		}
		r.endpoint = "secretmanager." + location + ".rep.googleapis.com"
	}
	if s.cfg.Endpoint != "" {
		r.endpoint = s.cfg.Endpoint
	}
	return r, nil
}

// answers says which version an answer's name is of, and whether that is the
// one that was asked for: the project's id has become its number there, and
// "latest" or an alias the version's.
func (r resource) answers(name string) (version string, ok bool) {
	asked, got := strings.Split(r.name, "/"), strings.Split(name, "/")
	if len(got) != len(asked) {
		return "", false
	}
	last := len(got) - 1
	for i := range got {
		same := got[i] == asked[i]
		switch i {
		case 1:
			same = same || isNumber(got[i]) && !isNumber(asked[i])
		case last:
			same = isNumber(got[i]) && (!isNumber(asked[i]) || got[i] == strings.TrimLeft(asked[i], "0"))
		}
		if !same {
			return "", false
		}
	}
	return got[last], true
}

// isNumber: as Google writes one.
func isNumber(s string) bool { return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == "" }
