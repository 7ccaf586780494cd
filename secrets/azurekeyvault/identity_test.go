package azurekeyvault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets/azurekeyvault"
)

const subject = "system:serviceaccount:kube-system:gmsa-agent"

// workload registers an application that the vault lets in, and returns the
// configuration of a workload identity.
func (l *lab) workload(t *testing.T) (azuredouble.Application, azurekeyvault.Config) {
	t.Helper()
	app := l.Register()
	l.Federate(app.ClientID, subject)
	l.vault.Allow(app.ObjectID)
	file := write(t, "token", l.serviceAccount(t, subject, time.Hour)+"\n")
	return app, azurekeyvault.Config{Vaults: []string{host}, Identity: "workload", ID: app.ClientID, TenantID: l.Tenant, TokenFile: file}
}

func (l *lab) serviceAccount(t *testing.T, subject string, valid time.Duration) string {
	t.Helper()
	token, err := l.ServiceAccountToken(subject, valid)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// certified registers an application with a certificate.
func (l *lab) certified(t *testing.T) (azuredouble.Application, azurekeyvault.Config) {
	t.Helper()
	app := l.Register()
	l.vault.Allow(app.ObjectID)
	cert, text := certificate(t)
	l.AddCertificate(app.ClientID, cert)
	return app, azurekeyvault.Config{Vaults: []string{host}, Identity: "certificate", ID: app.ClientID, TenantID: l.Tenant, CertificateFile: write(t, "app.pem", text)}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func certificate(t *testing.T) (*x509.Certificate, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return certificateOf(t, key, key.Public())
}

func certificateOf(t *testing.T, key, public any) (*x509.Certificate, string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gmsa-agent"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return cert, string(append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...))
}

func TestEveryIdentityFetchesWithATokenOfItsOwn(t *testing.T) {
	for name, of := range map[string]func(*testing.T, *lab) (cfg azurekeyvault.Config, query string){
		"host's own": func(_ *testing.T, l *lab) (azurekeyvault.Config, string) {
			return azurekeyvault.Config{Identity: "system"}, ""
		},
		"host's, by default": func(_ *testing.T, l *lab) (azurekeyvault.Config, string) { return azurekeyvault.Config{}, "" },
		"object id":          func(_ *testing.T, l *lab) (azurekeyvault.Config, string) { return l.config(), "" },
		"client id": func(_ *testing.T, l *lab) (azurekeyvault.Config, string) {
			return azurekeyvault.Config{Identity: "client_id", ID: l.id.ClientID}, ""
		},
		"object id of the reference": func(_ *testing.T, l *lab) (azurekeyvault.Config, string) {
			return azurekeyvault.Config{Identity: "client_id", ID: azuredouble.NewID()}, "?object_id=" + l.id.ObjectID
		},
		"client id of the reference": func(_ *testing.T, l *lab) (azurekeyvault.Config, string) {
			return azurekeyvault.Config{}, "?client_id=" + l.id.ClientID
		},
		"workload": func(t *testing.T, l *lab) (azurekeyvault.Config, string) { _, cfg := l.workload(t); return cfg, "" },
		"workload of the reference": func(t *testing.T, l *lab) (azurekeyvault.Config, string) {
			_, cfg := l.workload(t)
			return cfg, "?workload=true"
		},
		"certificate": func(t *testing.T, l *lab) (azurekeyvault.Config, string) { _, cfg := l.certified(t); return cfg, "" },
		"reference over a certificate": func(t *testing.T, l *lab) (azurekeyvault.Config, string) {
			_, cfg := l.certified(t)
			return cfg, "?object_id=" + l.id.ObjectID
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			cfg, query := of(t, l)
			cfg.Vaults = []string{host}
			s := l.open(t, cfg)
			expect(t, s, gmsa+query, password)
			expect(t, s, gmsa+query, password)
			if n := len(l.Tokens()); n != 1 {
				t.Errorf("%d tokens were issued, want one for both", n)
			}
			if strings.HasPrefix(name, "host's") {
				return // MSAL's cache has what another test's double issued
			}
			// The first of them elicits the challenge.
			if n := l.asked(azuredouble.KeyVault); n != 3 {
				t.Errorf("the vault was asked %d times, want 3", n)
			}
		})
	}
}

// TestWorkloadTakesWhatIsNotConfiguredFromTheEnvironment is AKS's webhook.
func TestWorkloadTakesWhatIsNotConfiguredFromTheEnvironment(t *testing.T) {
	l := newLab(t)
	app, cfg := l.workload(t)
	t.Setenv("AZURE_CLIENT_ID", app.ClientID)
	t.Setenv("AZURE_TENANT_ID", l.Tenant)
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", cfg.TokenFile)
	expect(t, l.open(t, azurekeyvault.Config{Vaults: []string{host}, Identity: "workload"}), gmsa, password)
	// The configured id is a managed identity's, and not the workload's.
	expect(t, l.open(t, l.config()), gmsa+"?workload=true", password)
}

func TestWorkloadSaysWhatIsMissing(t *testing.T) {
	l := newLab(t)
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	s := l.open(t, azurekeyvault.Config{Vaults: []string{host}, TenantID: l.Tenant})
	refused(t, l, s, gmsa+"?workload=true", fault.ErrUnavailable, "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "secrets.azurekeyvault.token_file")
	t.Setenv("AZURE_CLIENT_ID", "https://evil.example/")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "/nowhere")
	refused(t, l, s, gmsa+"?workload=true", fault.ErrUnavailable, "is not a GUID")
}

func TestATokenFileThatWasReplacedIsUsedAtOnce(t *testing.T) {
	l := newLab(t)
	app, cfg := l.workload(t)
	s := l.open(t, cfg)
	if err := os.WriteFile(cfg.TokenFile, []byte(l.serviceAccount(t, subject, -time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, l, s, gmsa, fault.ErrDenied, app.ClientID, "AADSTS700024", "clock")
	if err := os.WriteFile(cfg.TokenFile, []byte(l.serviceAccount(t, subject, time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, s, gmsa, password)
}

func TestATokenFileThatIsNoneIsNamed(t *testing.T) {
	l := newLab(t)
	_, cfg := l.workload(t)
	for name, text := range map[string]string{"empty": "\n", "two lines": "a\nb", "too long": strings.Repeat("x", 1<<20)} {
		cfg.TokenFile = write(t, "token", text)
		err := refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, "token file", cfg.TokenFile)
		if strings.Contains(err.Error(), "xxx") {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg.TokenFile = filepath.Join(t.TempDir(), "absent")
	refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, "token file", cfg.TokenFile)
	if n := len(l.Tokens()); n != 0 {
		t.Errorf("%d tokens were issued", n)
	}
}

func TestEntraIDsRefusalsSayWhatToMend(t *testing.T) {
	l := newLab(t)
	app, good := l.workload(t)
	for code, change := range map[string]func(*azurekeyvault.Config){
		"AADSTS700213": func(c *azurekeyvault.Config) {
			c.TokenFile = write(t, "token", l.serviceAccount(t, "system:serviceaccount:default:other", time.Hour))
		},
		"AADSTS700016": func(c *azurekeyvault.Config) { c.ID = azuredouble.NewID() },
		"AADSTS50027":  func(c *azurekeyvault.Config) { c.TokenFile = write(t, "token", "no-token-at-all") },
	} {
		cfg := good
		change(&cfg)
		refused(t, l, l.open(t, cfg), gmsa, fault.ErrDenied, code, "no token for the workload identity")
	}
	_ = app
	if n := len(l.Tokens()); n != 0 {
		t.Errorf("%d tokens were issued", n)
	}
}

func TestAnApplicationOfAnotherTenantIsNotSentToTheVaults(t *testing.T) {
	l := newLab(t)
	_, cfg := l.workload(t)
	l.vault.Move(azuredouble.NewID())
	refused(t, l, l.open(t, cfg), gmsa, fault.ErrDenied, "belongs to tenant", l.Tenant)
	if n := l.asked(azuredouble.Entra); n != 0 {
		t.Errorf("Entra ID was asked %d times", n)
	}
}

func TestACertificateThatWasReplacedIsUsedAtOnce(t *testing.T) {
	l := newLab(t)
	app, cfg := l.certified(t)
	s := l.open(t, cfg)
	expect(t, s, gmsa, password)
	cert, text := certificate(t)
	if err := os.WriteFile(cfg.CertificateFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, l, s, gmsa, fault.ErrDenied, "AADSTS700027", "the certificate is not one of the application's")
	l.AddCertificate(app.ClientID, cert)
	expect(t, s, gmsa, password)
}

func TestACertificateFileThatIsNoneIsNamed(t *testing.T) {
	l := newLab(t)
	_, cfg := l.certified(t)
	_, rsaText := certificate(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ecText := certificateOf(t, ec, ec.Public())
	certOnly, _, _ := strings.Cut(rsaText, "-----BEGIN PRIVATE KEY")
	for text, want := range map[string]string{
		"":                         "neither PEM",
		"C4nary-Passw0rd!":         "neither PEM",
		certOnly:                   "neither PEM",
		ecText:                     "no RSA key",
		strings.Repeat("x", 1<<20): "longer than",
	} {
		cfg.CertificateFile = write(t, "app.pem", text)
		refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, cfg.CertificateFile, want)
	}
	cfg.CertificateFile = filepath.Join(t.TempDir(), "absent")
	refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, cfg.CertificateFile)
}

func TestACertificateFileThatOthersCanReadIsNotUsed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are not Windows' permissions")
	}
	l := newLab(t)
	_, cfg := l.certified(t)
	if err := os.Chmod(cfg.CertificateFile, 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, l, l.open(t, cfg), gmsa, fault.ErrUnavailable, cfg.CertificateFile)
	if n := l.asked(azuredouble.Entra); n != 0 {
		t.Errorf("Entra ID was asked %d times", n)
	}
}

// TestTheEnvironmentDoesNotChangeWhoWeAre sets all that azidentity and MSAL
// would take an identity, or a place to ask, from.
func TestTheEnvironmentDoesNotChangeWhoWeAre(t *testing.T) {
	l := newLab(t)
	other := l.Assign(false)
	for name, value := range map[string]string{
		"AZURE_CLIENT_ID": other.ClientID, "AZURE_TENANT_ID": azuredouble.NewID(), "AZURE_CLIENT_SECRET": "x",
		"AZURE_USERNAME": "x", "AZURE_PASSWORD": "x", "AZURE_FEDERATED_TOKEN_FILE": "/nowhere", "AZURE_CLIENT_CERTIFICATE_PATH": "/nowhere",
		"AZURE_AUTHORITY_HOST": "https://login.evil.example/", "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:1",
		"AZURE_TOKEN_CREDENTIALS": "dev", "AZURE_ADDITIONALLY_ALLOWED_TENANTS": "*", "DEFAULT_IDENTITY_CLIENT_ID": other.ClientID,
		"REGION_NAME": "evil", "HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1",
	} {
		t.Setenv(name, value)
	}
	expect(t, l.open(t, l.config()), gmsa, password)
	_, cfg := l.certified(t)
	expect(t, l.open(t, cfg), gmsa, password)
	_, cfg = l.workload(t)
	expect(t, l.open(t, cfg), gmsa, password)
}

// TestAnotherSourceOfManagedIdentitiesIsRefused has the variables that make
// azidentity ask App Service, Service Fabric, Azure ML, Cloud Shell or Arc.
func TestAnotherSourceOfManagedIdentitiesIsRefused(t *testing.T) {
	for source, env := range map[string]map[string]string{
		"AppService":    {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/", "IDENTITY_HEADER": "x"},
		"ServiceFabric": {"IDENTITY_ENDPOINT": "https://127.0.0.1:1/", "IDENTITY_HEADER": "x", "IDENTITY_SERVER_THUMBPRINT": "x"},
		"AzureML":       {"MSI_ENDPOINT": "http://127.0.0.1:1/", "MSI_SECRET": "x"},
		"CloudShell":    {"MSI_ENDPOINT": "http://127.0.0.1:1/"},
		"AzureArc":      {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/", "IMDS_ENDPOINT": "http://127.0.0.1:1/"},
	} {
		t.Run(source, func(t *testing.T) {
			l := newLab(t)
			for name, value := range env {
				t.Setenv(name, value)
			}
			refused(t, l, l.open(t, l.config()), gmsa, errors.ErrUnsupported, source, "IDENTITY_ENDPOINT")
			_, cfg := l.certified(t) // asks no such source
			expect(t, l.open(t, cfg), gmsa, password)
		})
	}
}

func TestRegionalAuthoritiesAreRefused(t *testing.T) {
	for _, name := range []string{"AZURE_REGIONAL_AUTHORITY_NAME", "MSAL_FORCE_REGION"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			t.Setenv(name, "westeurope")
			_, cfg := l.workload(t)
			refused(t, l, l.open(t, cfg), gmsa, errors.ErrUnsupported, name)
			expect(t, l.open(t, l.config()), gmsa, password)
		})
	}
}

func TestSovereignCloudsAskTheirOwnAuthorityForTheirOwnAudience(t *testing.T) {
	for vault, login := range map[string]string{
		"contoso.vault.azure.cn":          "login.chinacloudapi.cn",
		"contoso.vault.usgovcloudapi.net": "login.microsoftonline.us",
		"fabrikam.vault.azure.net":        "login.microsoftonline.com",
	} {
		t.Run(vault, func(t *testing.T) {
			l := newLab(t)
			v, err := l.Vault(vault)
			if err != nil {
				t.Fatal(err)
			}
			v.Set("gmsa", content("svc-gmsa", password))
			app, cfg := l.certified(t)
			v.Allow(app.ObjectID)
			v.Allow(l.id.ObjectID)
			cfg.Vaults = []string{host, vault}
			reference := "azurekeyvault://" + vault + "/secrets/gmsa"
			expect(t, l.open(t, cfg), reference, password)
			for _, r := range l.Requests(azuredouble.Entra) {
				if r.Host != login {
					t.Errorf("%s was asked", r.Host)
				}
			}
			expect(t, l.open(t, cfg), reference+"?object_id="+l.id.ObjectID, password)
			_, audience, _ := strings.Cut(vault, ".")
			if r := l.Requests(azuredouble.IMDS); len(r) != 1 || !strings.Contains(r[0].Path, "resource=https%3A%2F%2F"+audience) {
				t.Errorf("IMDS was asked %+v", r)
			}
		})
	}
}
