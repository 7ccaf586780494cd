package config

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The bounds of how often a source is asked.
const (
	minRefresh = 100 * time.Millisecond
	maxRefresh = 24 * time.Hour
)

func (d *decoder) docker(c Docker) {
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Scheme != "unix" && u.Scheme != "npipe" || u.Path == "":
		// Over TCP it would be another host's, whose files are not at hand.
		d.wrong("docker.endpoint", "%q is not unix:///PATH or npipe:////./pipe/NAME: the agent keeps files for the Docker of its own host", c.Endpoint)
	}
	if c.Root != "" {
		d.absolute("docker.root", c.Root)
	}
	d.refresh("docker.refresh.local", c.Refresh.Local)
	d.refresh("docker.refresh.https", c.Refresh.HTTPS)
	d.refresh("docker.refresh.remote", c.Refresh.Remote)
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Specs)) {
		key := child("docker.specs", name)
		if why := specNameProblem(name); why != "" {
			d.wrong(key, "%q %s: it is the name of a file in Docker's folder, without .json", name, why)
		}
		lower := strings.ToLower(name)
		if other, twice := seen[lower]; twice {
			d.wrong(key, "is the file of %s already: Windows tells no case apart", other)
		}
		seen[lower] = name
		s := c.Specs[name]
		switch scheme, _, ok := strings.Cut(s.Reference, "://"); {
		case s.Reference == "":
			d.wrong(key+".reference", "must say where the credential spec is, such as s3://contoso-specs/webapp01.json")
		case ok && strings.EqualFold(scheme, "raw"), strings.HasPrefix(strings.TrimSpace(s.Reference), "{"):
			d.wrong(key+".reference", "is a document; put it into a file of credential_specs.folders and write file://NAME.json")
		case ok && strings.EqualFold(scheme, "config"):
			d.wrong(key+".reference", "is of Docker Swarm, and only dockerd can read it")
		}
	}
}

func (d *decoder) refresh(key string, t time.Duration) {
	if t < minRefresh || t > maxRefresh {
		d.wrong(key, "must be %v to %v", minRefresh, maxRefresh)
	}
}

// specNameProblem says what keeps name from being the name of a file, without its
// ending, on Windows too.
func specNameProblem(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > 128:
		return "is longer than 128 bytes"
	case strings.ContainsAny(name, "\\/:*?\"<>|") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "has a character that no file's name has"
	case strings.HasPrefix(name, ".") || strings.HasSuffix(name, " ") || strings.HasPrefix(name, " "):
		return "begins with a dot or has a blank around it"
	case strings.HasSuffix(strings.ToLower(name), ".json"):
		return "ends in .json"
	}
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	if slices.Contains([]string{"CON", "PRN", "AUX", "NUL"}, base) || len(base) == 4 && (strings.HasPrefix(base, "COM") || strings.HasPrefix(base, "LPT")) && base[3] >= '0' && base[3] <= '9' {
		return "is a device of Windows"
	}
	return ""
}
