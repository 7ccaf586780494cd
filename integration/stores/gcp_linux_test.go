package stores

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/netlab"
)

// gcp is Google's double, with a project that a service account may read from.
type gcp struct {
	*gcpdouble.Double
	h       *host
	project *gcpdouble.Project
	key     string // file
	way     *netlab.Way
}

const (
	gcpProject = "contoso-prod"
	gcpAccount = "gmsa-agent@" + gcpProject + ".iam.gserviceaccount.com"
)

func startGCP(h *host) server {
	h.Helper()
	d, err := gcpdouble.Start()
	h.must(err)
	h.Cleanup(func() { h.must(d.Stop()) })
	g := &gcp{Double: d, h: h, project: d.Project(gcpProject), key: h.path("gcp-key.json")}
	g.project.Allow("serviceAccount:" + gcpAccount)
	// The metadata server's place in the cloud is Azure's, too, on a host with
	// both: so a key, which needs none.
	key, err := d.ServiceAccount(gcpAccount).KeyFile()
	h.must(err)
	h.write(g.key, string(key))
	at := h.address()
	for _, name := range gcpdouble.Hosts() {
		h.network.Name(name, at)
	}
	g.way = h.forward(netip.AddrPortFrom(at, 443), d.Address)
	h.roots = append(h.roots, d.CertificatePEM()...)
	return g
}

func (g *gcp) settings() map[string]any {
	return map[string]any{"secrets": map[string]any{"gcpsecretmanager": map[string]any{
		"projects": []string{gcpProject}, "credentials": "key_file", "credentials_file": g.key,
	}}}
}

func (g *gcp) ref(name string) string {
	return "gcpsecretmanager://projects/" + gcpProject + "/secrets/" + name + "/versions/latest"
}

func (g *gcp) put(name, content string) { g.project.Add("secrets/"+name, []byte(content)) }
func (g *gcp) remove(name string)       { g.project.Delete("secrets/" + name) }
func (g *gcp) credentials() []string    { return g.Tokens() }

func (g *gcp) requests(name string) (n int) {
	for _, r := range g.Requests(gcpdouble.SecretManager) {
		if strings.Contains(r.Path, "/secrets/"+name+"/") {
			n++
		}
	}
	return n
}

func (g *gcp) become(to condition) bool {
	g.h.Helper()
	var f gcpdouble.Fault
	shows := gcpdouble.Good
	g.way.Cut() // connections that there are have been trusted
	switch to {
	case throttled:
		f = gcpdouble.Throttled("1")
	case refuses:
		f = gcpdouble.Status(403)
	case half:
		f = gcpdouble.Truncated
	case foreign:
		f = gcpdouble.Answer(http.StatusOK, "text/html", portal)
	case untrusted:
		shows = gcpdouble.Untrusted
	}
	g.Present(shows)
	g.FailAlways(gcpdouble.SecretManager, f)
	if to == stopped {
		return true
	}
	g.h.must(g.way.Mend())
	if to == slow {
		g.way.Hang()
	}
	return true
}
