package https_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/integration/httpslab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// to is a redirect of a server's.
func to(server, code, target string) string {
	return server + "/redirect/" + code + "?to=" + url.QueryEscape(target)
}

func TestRedirectsToHTTPSAreFollowed(t *testing.T) {
	l, other := start(t, httpslab.Options{}), start(t, httpslab.Options{})
	cfg := trusting(l)
	cfg.Hosts = map[string]https.Host{hostOf(t, other.URL): {CAFile: other.CAFile}}
	s := source(t, cfg)
	for _, code := range []string{"301", "302", "303", "307", "308"} {
		want(t, s, to(l.URL, code, "/specs/x"))
	}
	for _, target := range []string{"../specs/x", "//" + hostOf(t, l.URL) + "/specs/x", l.URL + "/specs/x#fragment", other.URL + "/specs/x"} {
		want(t, s, to(l.URL, "302", target))
	}
	doc := want(t, s, to(l.URL, "302", other.URL+"/specs/x?signature=hunter2"))
	if want := other.URL + "/specs/x?…"; doc.Origin != want {
		t.Errorf("origin %s, want %s", doc.Origin, want)
	}
	// From and within this host, plain http is as good.
	want(t, s, to(l.Plain, "302", l.Plain+"/specs/x"))
	want(t, s, to(l.Plain, "302", strings.Replace(l.Plain, "127.0.0.1", "localhost", 1)+"/specs/x"))
	want(t, s, to(l.Plain, "302", l.URL+"/specs/x"))
}

func TestRedirectsToElsewhereAreRefused(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, trusting(l))
	for target, want := range map[string]struct {
		kind error
		text string
	}{
		l.Plain + "/specs/x":                                  {fault.ErrDenied, "a redirect to plain http"},
		"http://specs.contoso.example/x":                      {fault.ErrDenied, "a redirect to plain http"},
		"http://169.254.169.254/latest/meta-data":             {fault.ErrDenied, "a redirect to plain http"},
		"https://169.254.169.254/latest/meta-data":            {fault.ErrDenied, "is a link-local address"},
		"//169.254.169.254/latest":                            {fault.ErrDenied, "is a link-local address"},
		"https://[::ffff:a9fe:a9fe]/latest":                   {fault.ErrDenied, "is a link-local address"},
		"https://[fd00:ec2::254]/latest":                      {fault.ErrDenied, "a cloud's metadata service"},
		"https://0xa9fea9fe/latest":                           {fault.ErrMalformed, "neither a name nor an IP address"},
		"https://0/":                                          {fault.ErrMalformed, "neither a name nor an IP address"},
		"https://0.0.0.0/":                                    {fault.ErrDenied, "is no server's address"},
		"file:///etc/shadow":                                  {fault.ErrDenied, `"file"`},
		"ftp://specs.contoso.example/x":                       {fault.ErrDenied, `"ftp"`},
		"data:application/json,{}":                            {fault.ErrDenied, `"data"`},
		"https://me:hunter2@" + hostOf(t, l.URL) + "/specs/x": {fault.ErrDenied, "a user"},
		"https://a b/":                                        {fault.ErrMalformed, "a redirect"},
		"https:///x":                                          {fault.ErrMalformed, "a redirect"},
		"":                                                    {fault.ErrMalformed, "leads nowhere"},
	} {
		refused(t, s, to(l.URL, "302", target), want.kind, hostOf(t, l.URL), want.text)
	}
	refused(t, s, to(l.URL, "302", "/")+"&pad=5000", fault.ErrMalformed, "a redirect")
	for _, target := range []string{"http://specs.contoso.example/x", "http://169.254.169.254/"} {
		refused(t, s, to(l.Plain, "302", target), fault.ErrDenied, "a redirect to plain http")
	}
}

func TestRedirectsAreCounted(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, trusting(l))
	refused(t, s, l.URL+"/loop", fault.ErrMalformed, "redirects more than 5 times")
	if n := len(l.Requests()); n != 6 {
		t.Errorf("%d requests, want the first and 5 more", n)
	}
	chain := "/specs/x"
	for range 5 {
		chain = to("", "302", chain)
	}
	want(t, s, l.URL+chain)
}

func TestAnErrorAfterARedirectNamesBothServers(t *testing.T) {
	l, other := start(t, httpslab.Options{}), start(t, httpslab.Options{})
	cfg := trusting(l)
	cfg.Hosts = map[string]https.Host{hostOf(t, other.URL): {CAFile: other.CAFile}}
	refused(t, source(t, cfg), to(l.URL, "302", other.URL+"/specs/missing?signature=hunter2"), fault.ErrNotFound,
		other.URL+"/specs/missing?… (redirected from "+hostOf(t, l.URL)+") answers 404")
}

func TestWhereHostsAreRestrictedOthersAreRefused(t *testing.T) {
	l, other := start(t, httpslab.Options{}), start(t, httpslab.Options{})
	cfg := trusting(l)
	cfg.RestrictToHosts = true
	refused(t, source(t, cfg), l.URL+"/specs/x", fault.ErrDenied, "not among the hosts that the configuration allows")
	cfg.Hosts = map[string]https.Host{hostOf(t, l.URL): {}}
	s := source(t, cfg)
	want(t, s, l.URL+"/specs/x")
	l.Requests()
	for _, target := range []string{other.URL + "/specs/x", strings.Replace(l.URL, "127.0.0.1", "localhost", 1) + "/specs/x"} {
		refused(t, s, target, fault.ErrDenied, "not among the hosts")
		refused(t, s, to(l.URL, "302", target), fault.ErrDenied, "a redirect that leads to "+hostOf(t, target))
	}
	refused(t, s, l.Plain+"/specs/x", fault.ErrDenied, "not among the hosts")
	checkError(t, other.URL, s.Admit(ref(t, other.URL+"/specs/x")), fault.ErrDenied, "not among the hosts")
	if err := s.Admit(ref(t, l.URL+"/specs/x")); err != nil {
		t.Error(err)
	}
	if asked := other.Requests(); len(asked) > 0 {
		t.Errorf("asked nevertheless: %v", asked)
	}
}
