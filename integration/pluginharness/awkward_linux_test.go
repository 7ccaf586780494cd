package pluginharness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"filippo.io/age"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local/seed"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// awkward is a credential whose every UTF-16 unit must arrive.
type awkward struct {
	what       string
	credential *secrets.Credential
	spec       string // reference of a credential spec of its domain
}

// allAwkward are the credentials of secretstest's tables.
func allAwkward(t *testing.T, h *agentHost) []awkward {
	t.Helper()
	contoso := h.spec(t, "contoso", "contoso.com", "CONTOSO")
	var all []awkward
	passwords := secretstest.Passwords()
	for _, what := range slices.Sorted(maps.Keys(passwords)) {
		all = append(all, awkward{"password: " + what, secretstest.New("contoso.com", "svc", passwords[what]), contoso})
	}
	accounts := secretstest.Accounts()
	for i, what := range slices.Sorted(maps.Keys(accounts)) {
		a := accounts[what]
		dns, netbios := a.Domain, "NETBIOS"
		if !strings.Contains(a.Domain, ".") {
			dns, netbios = "contoso.com", a.Domain
		}
		spec := h.spec(t, fmt.Sprintf("account%d", i), dns, netbios)
		all = append(all, awkward{"account: " + what, secretstest.New(a.Domain, a.User, "Passw0rd!"), spec})
	}
	if len(all) < 40 {
		t.Fatalf("only %d credentials: the test is void", len(all))
	}
	return all
}

// keeper is a store that the agent fetches from. It keeps the credentials and
// returns their references, in order, and what the agent must be told of it, by
// top-level key of the configuration. The agent does not run yet.
type keeper func(t *testing.T, h *agentHost, all []awkward) (refs []string, config map[string]any)

// keepers are the stores that the whole way is shown for, by scheme: one on the
// host, and one on the network, whose answers are JSON within JSON. What each
// of the others does with the same tables, its own tests show.
var keepers = map[string]keeper{"local": keptLocally, "awssecretsmanager": keptInAWS}

// keptLocally seeds the local store as a fleet's is, by an encrypted file.
func keptLocally(t *testing.T, h *agentHost, all []awkward) (refs []string, _ map[string]any) {
	t.Helper()
	var entries []seed.Entry
	for i, a := range all {
		name := fmt.Sprintf("awkward%d", i)
		entries = append(entries, seed.Entry{Name: name, Credential: a.credential})
		refs = append(refs, "local://"+name)
	}
	warnings, err := seeder(t, h)(entries)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range all {
		told := strings.Contains(warnings, "warning: "+refs[i]+": the password is the name of a PowerShell type")
		if is := string(a.credential.Password.Bytes()) == "System.Security.SecureString"; told != is {
			t.Errorf("%s: warned of a PowerShell type: %v, want %v", a.what, told, is)
		}
	}
	return refs, nil
}

// keptInAWS puts them into Secrets Manager as moto has it, as JSON; none if
// there is no moto.
func keptInAWS(t *testing.T, h *agentHost, all []awkward) (refs []string, config map[string]any) {
	t.Helper()
	if err := awslab.Ready(); err != nil {
		t.Run("awssecretsmanager", func(t *testing.T) { t.Skip(err) })
		return nil, nil
	}
	l, err := awslab.Start(t.Context(), lab.Report(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	for i, a := range all {
		content, err := json.Marshal(map[string]string{
			"username": a.credential.User, "password": string(a.credential.Password.Bytes()), "domainName": a.credential.Domain,
		})
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("gmsa/awkward%d", i)
		if _, _, err := l.PutSecret(t.Context(), awslab.Secret{Name: name, Text: string(content)}); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, "awssecretsmanager://"+name)
	}
	profile := dataFolder + `\credentials`
	if err := os.WriteFile(h.Path(profile), []byte("[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = of-moto\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return refs, map[string]any{"aws": map[string]any{
		"credentials": "profile", "profile_file": profile, "region": awslab.Region,
		"endpoints": map[string]string{"secretsmanager": l.URL},
	}}
}

// seeder returns what puts secrets into the local store, all or none.
func seeder(t *testing.T, h *agentHost) func([]seed.Entry) (warnings string, err error) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	identity := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(identity, []byte(key.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(entries []seed.Entry) (string, error) {
		var sealed bytes.Buffer
		if err := seed.Write(&sealed, entries, false, key.Recipient()); err != nil {
			return "", err
		}
		_, warnings, err := h.cli(t.Context(), &sealed, "secret", "import", "--identity", h.WindowsPath(identity), "-")
		return warnings, err
	}
}

// units are a text's UTF-16 units as the harness prints them.
func units(text string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, "%04x", u)
	}
	return b.String()
}

// The whole way: a store, the agent's cache and admission, the plugin channel,
// the DLL and, as CCG has it, a plugin host of its own, to the caller's strings.
func TestEveryAwkwardCredentialArrivesUnitForUnit(t *testing.T) {
	t.Parallel()
	h := newAgentHost(t)
	t.Run("impossible", func(t *testing.T) { refusesImpossible(t, h) }) // while the store is empty
	all := allAwkward(t, h)
	type sent struct {
		awkward
		container hook.Facts
	}
	var sends []sent
	var containers []hook.Facts
	config := map[string]any{"secrets": map[string]any{"cache": map[string]any{"ttl": "1h"}}}
	for _, scheme := range slices.Sorted(maps.Keys(keepers)) {
		refs, more := keepers[scheme](t, h, all)
		maps.Copy(config, more)
		for i, ref := range refs {
			a := all[i]
			a.what = scheme + ": " + a.what
			f := hook.Facts{
				Key:         hook.Key{Runtime: "containerd", Namespace: "default", ID: fmt.Sprintf("%s%d", scheme, i)},
				Annotations: map[string]string{hook.KeyCredentialSpec: a.spec, hook.KeySecret: ref},
			}
			containers = append(containers, f)
			sends = append(sends, sent{a, f})
		}
	}
	if len(sends) > secrets.DefaultSize {
		t.Fatalf("%d credentials are more than the agent's cache keeps", len(sends))
	}
	h.configure(t, config)
	h.runAgent(t)
	inputs := h.admitted(t, containers)
	t.Logf("%d credentials", len(inputs))
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			got := h.runWith(t, strings.NewReader(strings.Join(inputs, "\n")+"\n"), way, "each")
			for i, s := range sends {
				if got := got[fmt.Sprintf("result-%d", i)]; got != result(ccgplugin.OK) {
					t.Errorf("%s: got %s", s.what, got)
					continue
				}
				for part, want := range map[string]string{
					"domain": s.credential.Domain, "user": s.credential.User, "password": string(s.credential.Password.Bytes()),
				} {
					if got, want := got[fmt.Sprintf("%s-%d", part, i)], units(want); got != want {
						t.Errorf("%s: the %s is %s, want %s", s.what, part, got, want)
					}
				}
			}
		})
	}
	h.wantCached(t, len(containers))
}

// wantCached checks that each secret was fetched from its store once, and that
// what was released came out of the cache.
func (h *agentHost) wantCached(t *testing.T, n int) {
	t.Helper()
	out, _, err := h.cli(t.Context(), nil, "status", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var s agent.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	fetches := 0
	for _, store := range s.Stores {
		fetches += int(store.Fetches)
	}
	if fetches != n || s.Cache.Hits != uint64(n*len(ways)) {
		t.Errorf("%d secrets were fetched %d times, and %d releases came from the cache; want one fetch each and %d releases",
			n, fetches, s.Cache.Hits, n*len(ways))
	}
}

// refusesImpossible checks that no part of an impossible password gets into the
// store, nor what is imported along with it.
func refusesImpossible(t *testing.T, h *agentHost) {
	put := seeder(t, h)
	impossible := secretstest.Impossible()
	for _, what := range slices.Sorted(maps.Keys(impossible)) {
		_, err := put([]seed.Entry{
			{Name: "good", Credential: secretstest.New("contoso.com", "svc", "Passw0rd!")},
			{Name: "bad", Credential: secretstest.New("contoso.com", "svc", impossible[what])},
		})
		if err == nil || !strings.Contains(err.Error(), "(bad): ") || !strings.Contains(err.Error(), "the password ") {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if out, _, err := h.cli(t.Context(), nil, "secret", "list", "--output", "json"); err != nil || strings.TrimSpace(out) != "[]" {
		t.Errorf("the store holds %s, %v", out, err)
	}
}
