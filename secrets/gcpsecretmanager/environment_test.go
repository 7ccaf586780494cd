package gcpsecretmanager_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/gcpdouble"
)

// TestTheEnvironmentDoesNotChangeWhoWeAre sets all that Google's libraries take
// an identity, a place to ask, or a way there from.
func TestTheEnvironmentDoesNotChangeWhoWeAre(t *testing.T) {
	l := newLab(t)
	other := l.ServiceAccount("other@contoso-prod.iam.gserviceaccount.com")
	key, err := other.KeyFile()
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 64)
	evil := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	t.Cleanup(evil.Close)
	at := evil.Listener.Addr().String()
	home := t.TempDir()
	for name, value := range map[string]string{
		"GOOGLE_APPLICATION_CREDENTIALS": write(t, "adc.json", string(key)), "HOME": home, "APPDATA": home, "CLOUDSDK_CONFIG": home,
		"GOOGLE_CLOUD_PROJECT": "fabrikam-prod", "GCLOUD_PROJECT": "fabrikam-prod", "GOOGLE_CLOUD_QUOTA_PROJECT": "fabrikam-prod",
		"GOOGLE_CLOUD_UNIVERSE_DOMAIN": "evil.example", "SECRET_MANAGER_EMULATOR_HOST": at, "GCE_METADATA_HOST": at, "GCE_METADATA_IP": at,
		"GOOGLE_API_USE_MTLS_ENDPOINT": "always", "GOOGLE_API_USE_MTLS": "always", "EXPERIMENTAL_GOOGLE_API_USE_S2A": "true",
		"GOOGLE_API_GO_EXPERIMENTAL_DISABLE_NEW_AUTH_LIB": "true", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1",
		"GOOGLE_SDK_GO_EXPERIMENTAL_TRACING": "true", "GOOGLE_SDK_GO_EXPERIMENTAL_METRICS": "true", "GOOGLE_SDK_GO_EXPERIMENTAL_LOGGING": "true",
		"HTTPS_PROXY": evil.URL, "HTTP_PROXY": evil.URL, "ALL_PROXY": evil.URL, "https_proxy": evil.URL,
	} {
		t.Setenv(name, value)
	}
	for name, configure := range identities() {
		expect(t, l.open(t, configure(t, l)), gmsa, password)
		if len(asked) != 0 {
			t.Errorf("%s: somebody else was asked for %s", name, <-asked)
		}
	}
	for _, r := range l.Requests(gcpdouble.SecretManager) {
		if p := r.Header.Get("X-Goog-User-Project"); r.Host != host || p != "" {
			t.Errorf("%s was asked for project %q", r.Host, p)
		}
	}
}

// TestTheEnvironmentRunsNoProgram has a client certificate where the SDK would
// look for one, which a program signs with.
func TestTheEnvironmentRunsNoProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a shell script")
	}
	l := newLab(t)
	ran := filepath.Join(t.TempDir(), "ran")
	program := executable(t, "#!/bin/sh\ntouch "+ran+"\n")
	config := write(t, "certificate_config.json", `{"cert_configs":{"pkcs11":{"slot":"0x1","label":"x","module":"x"}},"libs":{"ecp":"`+program+`","ecp_client":"`+program+`"}}`)
	home := t.TempDir()
	put(t, filepath.Join(home, ".secureConnect", "context_aware_metadata.json"), `{"cert_provider_command":["`+program+`"]}`)
	for name, value := range map[string]string{
		"GOOGLE_API_USE_CLIENT_CERTIFICATE": "true", "GOOGLE_API_CERTIFICATE_CONFIG": config, "HOME": home, "CLOUDSDK_CONFIG": home,
	} {
		t.Setenv(name, value)
	}
	for _, configure := range identities() {
		expect(t, l.open(t, configure(t, l)), gmsa, password)
	}
	if exists(ran) {
		t.Error("the program was run")
	}
}
