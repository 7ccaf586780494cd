package docker

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// Verb says what a request to Docker's API would do to a container.
type Verb int

// What the gate tells apart. Everything else creates and starts no container that
// a request names: an exec runs in one that was started, and Docker starts a
// service's tasks by itself.
const (
	Other Verb = iota
	Create
	Start
	Restart
	Build
)

// Call is a request to Docker's API, as far as the gate is concerned.
type Call struct {
	Verb      Verb
	Container string // of Start and Restart: a name, an ID, or the beginning of one
	Name      string // of Create: the name that the container is to have
	// Options are of Build: the values of its credentialspec options, which all
	// containers of the build get.
	Options []string
}

// ParseCall reads a request's line. It takes the path as Docker's router does:
// decoded, with or without an API version before it.
func ParseCall(method, uri string) Call {
	if !strings.EqualFold(method, "POST") {
		return Call{}
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return Call{} // no server accepts it
	}
	p := path.Clean("/" + unversioned(u.Path))
	if p == "/containers/create" {
		return Call{Verb: Create, Name: u.Query().Get("name")}
	}
	if p == "/build" {
		return Call{Verb: Build, Options: buildOptions(u.Query()["securityopt"])}
	}
	rest, ok := strings.CutPrefix(p, "/containers/")
	if !ok {
		return Call{}
	}
	// A container's name may have slashes (links), so that it is whatever stands
	// between.
	if name, ok := strings.CutSuffix(rest, "/start"); ok {
		return Call{Verb: Start, Container: name}
	}
	if name, ok := strings.CutSuffix(rest, "/restart"); ok {
		return Call{Verb: Restart, Container: name}
	}
	return Call{}
}

// buildOptions reads a build's security options, a JSON array in the URL. Docker
// refuses what it cannot read there.
func buildOptions(values []string) (options []string) {
	for _, v := range values {
		var opts []string
		if json.Unmarshal([]byte(v), &opts) == nil {
			options = append(options, specOptions(opts)...)
		}
	}
	return options
}

// unversioned is a path without "/v1.41" before it.
func unversioned(p string) string {
	rest, ok := strings.CutPrefix(p, "/v")
	if !ok {
		return p
	}
	version, rest, ok := strings.Cut(rest, "/")
	if !ok || version == "" || strings.Trim(version, "0123456789.") != "" {
		return p
	}
	return "/" + rest
}

// Ask is what a container asks for: the question that the gate puts to the agent.
type Ask struct {
	ID     string            `json:"id,omitempty"`   // absent: it is to be created
	Name   string            `json:"name,omitempty"` // for people
	Image  string            `json:"image,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Options are the values of all its credentialspec options.
	Options []string `json:"options,omitempty"`
	// Restart: it may be running, and is stopped and started.
	Restart bool `json:"restart,omitempty"`
}

// Asks says whether the container asks for a gMSA at all.
func (a Ask) Asks() bool {
	if len(a.Options) > 0 {
		return true
	}
	_, asks := hook.Facts{Labels: a.Labels}.Ask()
	return asks
}

// ParseCreate reads the body of a request that creates a container, as encoding/json
// reads it for Docker. A body that it cannot read, Docker cannot either.
func ParseCreate(body []byte) (Ask, error) {
	var c struct {
		Image  string
		Labels map[string]string
		// Until version 23 Docker took what belongs into HostConfig from here, too.
		SecurityOpt []string
		HostConfig  struct{ SecurityOpt []string }
	}
	if err := json.NewDecoder(strings.NewReader(string(body))).Decode(&c); err != nil {
		return Ask{}, err
	}
	return NewAsk("", "", c.Image, c.Labels, append(c.SecurityOpt, c.HostConfig.SecurityOpt...)), nil
}

// NewAsk is what a container asks for. Of its labels it keeps them all: the
// policy may want any of them.
func NewAsk(id, name, image string, labels map[string]string, securityOpt []string) Ask {
	return Ask{ID: id, Name: name, Image: image, Labels: labels, Options: specOptions(securityOpt)}
}

// Finished is what became of a request that the agent was asked about.
type Finished struct {
	ID     string `json:"id"`
	Create *Ask   `json:"create,omitempty"` // what was created; absent: it was started
	Status int    `json:"status,omitempty"` // HTTP's
	// Unasked is a container that was started although another one was asked about:
	// its name was that one's.
	Unasked *Ask `json:"unasked,omitempty"`
}

// The verbs of the control channel by which the gate asks.
const (
	VerbCreate   = "docker.create"   // Ask → nothing
	VerbStart    = "docker.start"    // Ask → nothing
	VerbFinished = "docker.finished" // Finished → nothing
)
