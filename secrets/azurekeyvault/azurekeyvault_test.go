package azurekeyvault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/azuredouble"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/azurekeyvault"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func TestStoreConforms(t *testing.T) {
	secretstest.Run(t, func(t *testing.T) secretstest.Backend {
		l := newLab(t)
		return secretstest.Backend{
			Store: l.open(t, l.config()),
			Ref:   func(name string) secrets.Ref { return ref(t, "azurekeyvault://"+host+"/secrets/"+name) },
			Put: func(name string, c *secrets.Credential) error {
				l.vault.Set(name, fmt.Sprintf("%s\\%s:%s", c.Domain, c.User, c.Password.Bytes()))
				return nil
			},
			Remove: func(name string) error { l.vault.Delete(name); return nil },
			Damage: func(name string) error { l.vault.Set(name, "C4nary-of-the-damaged"); return nil },
		}
	})
}

func TestTheVersionIsTheSecrets(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	first := l.vault.Set("gmsa", content("svc-gmsa", "first"))
	second := l.vault.Set("gmsa", content("svc-gmsa", "second"))
	if c := expect(t, s, gmsa, "second"); c.Version != second {
		t.Errorf("version %q, want %q", c.Version, second)
	}
	if c := expect(t, s, gmsa+"/"+first, "first"); c.Version != first {
		t.Errorf("version %q, want %q", c.Version, first)
	}
	refused(t, l, s, gmsa+"/"+strings.Repeat("0", 32), fault.ErrNotFound, host)
}

func TestASecretThatIsRotatedBetweenTwoReadsIsTheNewOne(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	old := expect(t, s, gmsa, password)
	l.vault.Set("gmsa", content("svc-gmsa", "rotated"))
	if c := expect(t, s, gmsa, "rotated"); c.Version == old.Version {
		t.Error("the version is still the old one")
	}
}

func TestTheInputOfAzuresPluginFetchesAsTheIdentityThatItNames(t *testing.T) {
	l := newLab(t)
	l.Assign(true)
	s := l.open(t, azurekeyvault.Config{Vaults: []string{host}})
	expect(t, s, "ObjectId="+l.id.ObjectID+";SecretUri=https://"+host+"/secrets/gmsa", password)
	asked := l.Requests(azuredouble.IMDS)
	if len(asked) != 1 || !strings.Contains(asked[0].Path, "object_id="+l.id.ObjectID) {
		t.Errorf("IMDS was asked %+v", asked)
	}
}

func TestAVaultThatIsNotListedIsRefusedBeforeAnythingIsSent(t *testing.T) {
	for name, vaults := range map[string][]string{"none listed": nil, "another listed": {"fabrikam.vault.azure.net"}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			cfg := l.config()
			cfg.Vaults = vaults
			s := l.open(t, cfg)
			refused(t, l, s, gmsa, fault.ErrDenied, "secrets.azurekeyvault.vaults")
			refused(t, l, s, "azurekeyvault://"+host+":8443/secrets/gmsa", fault.ErrDenied, "secrets.azurekeyvault.vaults")
			refused(t, l, s, "azurekeyvault://contoso.privatelink.vaultcore.azure.net/secrets/gmsa", fault.ErrDenied, "the vault's own is contoso.vault.azure.net")
			refused(t, l, s, "azurekeyvault://contoso.vault.azure.net.evil.example/secrets/gmsa", fault.ErrDenied, "secrets.azurekeyvault.vaults")
			if n := l.asked(azuredouble.IMDS) + l.asked(azuredouble.KeyVault); n != 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestAConfigurationThatCannotBeMeantIsRefused(t *testing.T) {
	id := azuredouble.NewID()
	for want, cfg := range map[string]azurekeyvault.Config{
		"managed HSM":                       {Vaults: []string{"contoso.managedhsm.azure.net"}},
		"the vault's own is contoso.vault.": {Vaults: []string{"contoso.privatelink.vaultcore.azure.net"}},
		"has a port":                        {Vaults: []string{"contoso.vault.azure.net:8443"}},
		"in a cloud that is known":          {Vaults: []string{"vault.example.com"}},
		"is not a vault's host":             {Vaults: []string{"a.b.vault.azure.net"}},
		"vaults: \"x.vault.azure.net\"":     {Vaults: []string{"x.vault.azure.net"}},
		".identity is none of":              {Identity: "default"},
		".id is missing":                    {Identity: "client_id"},
		".id is not a GUID":                 {Identity: "object_id", ID: "me"},
		".tenant_id is missing":             {Identity: "certificate", ID: id, CertificateFile: "/x"},
		".tenant_id is not a GUID":          {Identity: "workload", TenantID: "contoso.com"},
		".certificate_file is missing":      {Identity: "certificate", ID: id, TenantID: id},
	} {
		_, err := azurekeyvault.New(cfg)
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "secrets.azurekeyvault.") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestHostsOfVaultsAreReadInAnyCase(t *testing.T) {
	l := newLab(t)
	cfg := l.config()
	cfg.Vaults, cfg.ID = []string{"Contoso.Vault.Azure.NET."}, strings.ToUpper(cfg.ID)
	expect(t, l.open(t, cfg), "azurekeyvault://CONTOSO.vault.azure.net/secrets/GMSA", password)
}

func TestReferencesThatNameManyIdentitiesDoNotFillTheMemory(t *testing.T) {
	l := newLab(t)
	s := l.open(t, l.config())
	for range azurekeyvault.MaxPool + 8 {
		refused(t, l, s, gmsa+"?client_id="+azuredouble.NewID(), fault.ErrDenied, "is not assigned to this host")
	}
	if n := s.Clients(); n > azurekeyvault.MaxPool {
		t.Errorf("%d clients are kept", n)
	}
	expect(t, s, gmsa, password)
}
