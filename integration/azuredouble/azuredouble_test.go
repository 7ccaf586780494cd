package azuredouble_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
)

const host = "contoso.vault.azure.net"

func start(t *testing.T) (*azuredouble.Double, *http.Client) {
	t.Helper()
	d, err := azuredouble.Start(azuredouble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Stop() })
	transport := &http.Transport{DialContext: d.Dial, TLSClientConfig: &tls.Config{RootCAs: d.Roots()}}
	t.Cleanup(transport.CloseIdleConnections)
	return d, &http.Client{Transport: transport}
}

// do sends a request; pairs are headers.
func do(t *testing.T, c *http.Client, method, url, body string, pairs ...string) (int, http.Header, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		req.Header.Set(pairs[i], pairs[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]any
	_ = json.Unmarshal(b, &said) // what is no JSON says nothing
	return resp.StatusCode, resp.Header, said
}

const (
	imds  = "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
	vault = "&resource=https%3A%2F%2Fvault.azure.net"
)

func TestIMDSAnswersAsDocumented(t *testing.T) {
	d, c := start(t)
	one := d.Assign(false)
	for what, want := range map[string]struct {
		url    string
		header []string
		status int
	}{
		"no Metadata header":    {imds + vault, nil, 400},
		"a proxy's":             {imds + vault, []string{"Metadata", "true", "X-Forwarded-For", "10.0.0.1"}, 400},
		"no resource":           {imds, []string{"Metadata", "true"}, 400},
		"an unknown resource":   {imds + "&resource=https%3A%2F%2Fx.example", []string{"Metadata", "true"}, 400},
		"the only identity":     {imds + vault, []string{"Metadata", "true"}, 200},
		"by object id":          {imds + vault + "&object_id=" + one.ObjectID, []string{"Metadata", "true"}, 200},
		"by client id":          {imds + vault + "&client_id=" + one.ClientID, []string{"Metadata", "true"}, 200},
		"by resource id":        {imds + vault + "&mi_res_id=" + url.QueryEscape(one.ResourceID), []string{"Metadata", "true"}, 200},
		"another object id":     {imds + vault + "&object_id=" + azuredouble.NewID(), []string{"Metadata", "true"}, 400},
		"two ids":               {imds + vault + "&object_id=" + one.ObjectID + "&client_id=" + one.ClientID, []string{"Metadata", "true"}, 400},
		"something else of it":  {"http://169.254.169.254/metadata/instance?api-version=2021-02-01", []string{"Metadata", "true"}, 404},
		"no version of the API": {"http://169.254.169.254/metadata/identity/oauth2/token?resource=x", []string{"Metadata", "true"}, 400},
	} {
		status, _, said := do(t, c, http.MethodGet, want.url, "", want.header...)
		if status != want.status || status == 200 && said["client_id"] != one.ClientID {
			t.Errorf("%s: %d %v", what, status, said)
		}
	}
	d.Assign(false)
	if status, _, said := do(t, c, http.MethodGet, imds+vault, "", "Metadata", "true"); status != 400 {
		t.Errorf("one of several: %d %v", status, said)
	}
	own := d.Assign(true)
	if status, _, said := do(t, c, http.MethodGet, imds+vault, "", "Metadata", "true"); status != 200 || said["client_id"] != own.ClientID {
		t.Errorf("the host's own: %d %v", status, said)
	}
}

func TestAVaultAnswersAsDocumented(t *testing.T) {
	d, c := start(t)
	v, err := d.Vault(host)
	if err != nil {
		t.Fatal(err)
	}
	first := v.Set("gmsa", "one")
	v.Set("gmsa", "two")
	id := d.Assign(true)
	token := func(resource string) string {
		t.Helper()
		_, _, said := do(t, c, http.MethodGet, imds+resource, "", "Metadata", "true")
		text, _ := said["access_token"].(string)
		return "Bearer " + text
	}
	at := "https://" + host + "/secrets/gmsa?api-version=7.4"
	status, h, _ := do(t, c, http.MethodGet, at, "")
	if challenge := h.Get("WWW-Authenticate"); status != 401 || challenge != `Bearer authorization="https://login.microsoftonline.com/`+d.Tenant+`", resource="https://vault.azure.net"` {
		t.Errorf("without a token: %d %s", status, challenge)
	}
	good, other := token(vault), token("&resource=https%3A%2F%2Fvault.azure.cn")
	ask := func(url, token string, want int) map[string]any {
		t.Helper()
		status, _, said := do(t, c, http.MethodGet, url, "", "Authorization", token)
		if status != want {
			t.Errorf("%s: %d %v, want %d", url, status, said, want)
		}
		return said
	}
	ask(at, other, 401)
	ask(at, "Bearer x", 401)
	ask(at, good, 403)
	v.Allow(id.ObjectID)
	if said := ask(at, good, 200); said["value"] != "two" {
		t.Errorf("got %v", said)
	}
	if said := ask("https://"+host+"/secrets/GMSA/"+first+"?api-version=7.4", good, 200); said["value"] != "one" {
		t.Errorf("got %v", said)
	}
	ask("https://"+host+"/secrets/absent?api-version=7.4", good, 404)
	ask("https://"+host+"/secrets/gmsa", good, 400)
	v.Change("gmsa", azuredouble.Attributes{Disabled: true})
	ask(at, good, 403)
	v.Change("gmsa", azuredouble.Attributes{Expires: time.Now().Add(-time.Hour)})
	ask(at, good, 200)
	v.Move(azuredouble.NewID())
	ask(at, good, 401)
}

func TestEntraIDRefusesAssertionsThatAreNotTheApplications(t *testing.T) {
	d, c := start(t)
	app := d.Register()
	const subject = "system:serviceaccount:a:b"
	d.Federate(app.ClientID, subject)
	post := func(assertion string) int {
		t.Helper()
		status, _, _ := do(t, c, http.MethodPost, "https://login.microsoftonline.com/"+d.Tenant+"/oauth2/v2.0/token", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {app.ClientID}, "scope": {"https://vault.azure.net/.default"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
		}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		return status
	}
	token := func(subject string, valid time.Duration) string {
		t.Helper()
		text, err := d.ServiceAccountToken(subject, valid)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := token(subject, time.Hour)
	forged := good[:len(good)-8] + "AAAAAAAA"
	for what, c := range map[string]struct {
		assertion string
		want      int
	}{
		"good": {good, 200}, "forged": {forged, 401}, "expired": {token(subject, -time.Hour), 401},
		"another's": {token("system:serviceaccount:a:c", time.Hour), 401}, "none": {"x.y.z", 401},
	} {
		if got := post(c.assertion); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
}

func TestOnlyVaultsThatWereMadeHaveAnAddress(t *testing.T) {
	d, _ := start(t)
	if _, err := d.Vault(host); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Vault("contoso.example"); err == nil {
		t.Error("contoso.example is a vault")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for name, want := range map[string]bool{host: true, "login.microsoftonline.com": true, "other.vault.azure.net": false, "example.com": false} {
		addrs, err := d.Resolver().LookupNetIP(ctx, "ip4", name)
		if (err == nil) != want {
			t.Errorf("%s: %v, %v", name, addrs, err)
		}
		conn, err := d.Dial(ctx, "tcp", name+":443")
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}
