package https_test

import (
	"slices"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/integration/httpslab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func throughProxy(l *httpslab.Lab) https.Config {
	cfg := trusting(l)
	cfg.Proxy = l.Proxy
	return cfg
}

// The lab's proxy knows the way to names that nobody else has.
func TestDocumentsAreFetchedThroughTheConfiguredProxy(t *testing.T) {
	l := start(t, httpslab.Options{})
	needsPrivateFiles(t, l.TokenFile)
	cfg := throughProxy(l)
	cfg.Hosts = map[string]https.Host{"specs.contoso.example": {TokenFile: l.TokenFile}}
	s := source(t, cfg)
	want(t, s, "https://Specs.Contoso.Example/private/x")
	want(t, s, "https://cdn.contoso.example:8443/specs/x")
	want(t, s, to("https://specs.contoso.example", "302", "https://cdn.contoso.example/specs/x"))
	refused(t, s, "https://cdn.contoso.example/private/x", fault.ErrDenied, "no token was sent")
	got := l.Connects()
	for _, server := range []string{"specs.contoso.example:443", "cdn.contoso.example:8443", "cdn.contoso.example:443"} {
		if !slices.Contains(got, server) {
			t.Errorf("the proxy was asked for %q, not for %s", got, server)
		}
	}
}

func TestInternationalNamesAreOneHostInEitherForm(t *testing.T) {
	l := start(t, httpslab.Options{})
	needsPrivateFiles(t, l.TokenFile)
	cfg := throughProxy(l)
	cfg.Hosts = map[string]https.Host{"bücher.example": {TokenFile: l.TokenFile}}
	cfg.RestrictToHosts = true
	s := source(t, cfg)
	for _, host := range []string{"bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "b%C3%BCcher.example", "bücher.example:443"} {
		doc := want(t, s, "https://"+host+"/private/x")
		if doc.Origin != "https://xn--bcher-kva.example/private/x" {
			t.Errorf("%s: origin %s", host, doc.Origin)
		}
	}
}

// Through a proxy, what a name stands for is not ours to see; an address is.
func TestAProxyIsNotAskedForMetadataServices(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, throughProxy(l))
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "[fd00:ec2::254]", "168.63.129.16", "0.0.0.0"} {
		refused(t, s, "https://"+host+"/latest", fault.ErrDenied)
		refused(t, s, to("https://specs.contoso.example", "302", "https://"+host+"/latest"), fault.ErrDenied)
	}
	for _, host := range []string{"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"} {
		refused(t, s, "https://"+host+"/latest", fault.ErrMalformed)
	}
	for _, server := range l.Connects() {
		if server != "specs.contoso.example:443" {
			t.Errorf("the proxy was asked for %s", server)
		}
	}
}

func TestThisHostIsReachedWithoutTheProxy(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, throughProxy(l))
	want(t, s, l.URL+"/specs/x")
	want(t, s, l.Plain+"/specs/x")
	if got := l.Connects(); len(got) > 0 {
		t.Errorf("the proxy was asked for %q", got)
	}
}

func TestAProxyThatRefusesIsNamed(t *testing.T) {
	l := start(t, httpslab.Options{})
	s := source(t, throughProxy(l))
	for status, want := range map[int]struct {
		kind error
		text string
	}{
		403: {fault.ErrDenied, "403 Forbidden"},
		407: {fault.ErrDenied, "407 Proxy Authentication Required"},
		502: {fault.ErrUnavailable, "502 Bad Gateway"},
	} {
		l.RefuseConnects(status)
		refused(t, s, "https://specs.contoso.example/specs/x", want.kind, "the proxy "+hostOf(t, l.Proxy)+" answers "+want.text)
	}
}

// What the environment says is for programs that people start.
func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	l := start(t, httpslab.Options{})
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, l.Proxy)
	}
	refused(t, source(t, trusting(l)), "https://specs.contoso.invalid/specs/x", fault.ErrUnavailable)
	if got := l.Connects(); len(got) > 0 {
		t.Errorf("the proxy was asked for %q", got)
	}
}
