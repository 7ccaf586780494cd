package vault

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/vaultlab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// rotating is a Vault that rotates passwords of a domain, which a domain
// controller then takes.
type rotating struct {
	vault  *vaultlab.Lab
	domain *adlab.Domain
	admin  *adlab.Admin
	s      *Store // with the policy of the page
}

// config is what both engines take of the domain.
func (r *rotating) config(t *testing.T) map[string]any {
	t.Helper()
	ca, err := os.ReadFile(r.domain.CAFile)
	must(t, err)
	binder, err := r.admin.AddUser("vault", "Domain Admins")
	must(t, err)
	return map[string]any{
		"binddn": "CN=vault,CN=Users," + r.domain.BaseDN, "bindpass": string(binder.Password),
		"url": "ldaps://" + r.domain.IP.String(), "certificate": string(ca), "userdn": "CN=Users," + r.domain.BaseDN,
	}
}

func (r *rotating) wantLogon(t *testing.T, path, user string) (version string) {
	t.Helper()
	c, err := r.s.Fetch(t.Context(), ref(path))
	must(t, err)
	defer c.Wipe()
	if c.Domain != "contoso.com" || c.User != user {
		t.Errorf("%s is %s\\%s", path, c.Domain, c.User)
	}
	if left := time.Until(c.Expires); left < 23*time.Hour || left > 25*time.Hour {
		t.Errorf("%s expires in %v, and is rotated each day", path, left)
	}
	if c.Version == "" {
		t.Errorf("%s has no version", path)
	}
	logon := adlab.User{Name: user, Password: append([]byte(nil), c.Password.Bytes()...)}
	if err := r.domain.Kinit(t.Context(), logon, filepath.Join(t.TempDir(), "cache")); err != nil {
		t.Errorf("%s: the domain does not take the password: %v", path, err)
	}
	return c.Version
}

func TestEnginesThatRotatePasswordsOfActiveDirectory(t *testing.T) {
	l, ctx := startOwnLab(t), t.Context() // the mounts are those of the page's policy
	if err := adlab.Ready(); err != nil {
		t.Skip(err)
	}
	domains, err := adlab.Start(ctx, adlab.Options{Domains: []string{"contoso.com"}, Wait: 5 * time.Minute, Report: lab.Report(t)})
	must(t, err)
	t.Cleanup(func() { must(t, domains.Stop()) })
	r := &rotating{vault: l, domain: domains.Contoso}
	r.admin, err = r.domain.Admin(ctx)
	must(t, err)
	t.Cleanup(r.admin.Close)
	for _, user := range []string{"svc-ldap", "svc-upn", "svc-nowhere", "svc-ad"} {
		_, err := r.admin.AddUser(user)
		must(t, err)
	}
	must(t, l.Policy(ctx, "gmsa-agent-ad", example(t, "gmsa-agent-ad.hcl")))
	token, err := l.Token(ctx, nil, "gmsa-agent-ad")
	must(t, err)
	r.s = as(t, l, token)
	config := r.config(t)

	t.Run("LDAP", func(t *testing.T) {
		ctx := t.Context()
		must(t, l.LDAP(ctx, "ldap"))
		config["schema"], config["userattr"] = "ad", "userPrincipalName"
		must(t, l.Write(ctx, "ldap/config", config))
		role := func(name, username, dn string) {
			t.Helper()
			must(t, l.Write(ctx, "ldap/static-role/"+name, map[string]any{"username": username, "dn": dn, "rotation_period": "24h"}))
		}
		role("contoso", "svc-ldap", "CN=svc-ldap,CN=Users,"+r.domain.BaseDN)
		first := r.wantLogon(t, "ldap/static-cred/contoso", "svc-ldap")
		must(t, l.Write(ctx, "ldap/rotate-role/contoso", nil))
		if second := r.wantLogon(t, "ldap/static-cred/contoso", "svc-ldap"); second == first {
			t.Errorf("rotated, and still of version %q", first)
		}
		_, err := r.s.Fetch(ctx, ref("ldap/static-cred/other"))
		wantError(t, err, fault.ErrDenied, "403")

		// Everything that the policy of the page does not need.
		r := &rotating{vault: l, domain: r.domain, s: as(t, l, l.Root)}
		role("upn", "svc-upn@contoso.com", "")
		r.wantLogon(t, "ldap/static-cred/upn", "svc-upn")
		_, err = r.s.Fetch(ctx, ref("ldap/static-cred/other"))
		wantError(t, err, fault.ErrNotFound, "unknown role")
		for _, path := range []string{"ldap/creds/contoso", "ldap/static-role/contoso", "ldap/config"} {
			_, err = r.s.Fetch(ctx, ref(path))
			wantError(t, err, fault.ErrMalformed, "vault://ldap/static-cred/ROLE")
		}
		_, err = r.s.Fetch(ctx, ref("ldap/static-cred/contoso?field=password"))
		wantError(t, err, fault.ErrMalformed, "field")

		config["userattr"] = "sAMAccountName"
		must(t, l.Write(ctx, "ldap/config", config))
		role("nowhere", "svc-nowhere", "")
		_, err = r.s.Fetch(ctx, ref("ldap/static-cred/nowhere"))
		wantError(t, err, fault.ErrMalformed, "of which domain", "give it a dn")
	})
	t.Run("AD", func(t *testing.T) {
		ctx := t.Context()
		must(t, l.AD(ctx, "ad"))
		delete(config, "schema")
		delete(config, "userattr")
		must(t, l.Write(ctx, "ad/config", config))
		must(t, l.Write(ctx, "ad/roles/contoso", map[string]any{"service_account_name": "svc-ad@contoso.com", "ttl": "24h"}))
		first := r.wantLogon(t, "ad/creds/contoso", "svc-ad") // the first to ask has it rotated
		if again := r.wantLogon(t, "ad/creds/contoso", "svc-ad"); again != first {
			t.Errorf("version %q, then %q, and nothing was rotated", first, again)
		}
		must(t, l.Do(ctx, http.MethodPost, "ad/rotate-role/contoso", nil, nil))
		if second := r.wantLogon(t, "ad/creds/contoso", "svc-ad"); second == first {
			t.Errorf("rotated, and still of version %q", first)
		}
		s := as(t, l, l.Root)
		_, err := s.Fetch(ctx, ref("ad/creds/other"))
		wantError(t, err, fault.ErrNotFound)
		_, err = s.Fetch(ctx, ref("ad/roles/contoso"))
		wantError(t, err, fault.ErrMalformed, "vault://ad/creds/ROLE")
	})
}
