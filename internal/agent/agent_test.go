package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/sources"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/local"
)

const (
	password   = "p4ss-canary-Grüße:\\\"𝄞 "
	annotation = hook.KeyCredentialSpec
)

// contoso is a credential spec with fields that the project does not know.
const contoso = `{
  "CmsPlugins": ["ActiveDirectory"],
  "X-Unknown": {"a": 1.50, "b": [null]},
  "DomainJoinConfig": {"Sid": "S-1-5-21-2126449477-2524075714-3094792973", "MachineAccountName": "webapp01",
    "Guid": "244818ae-87ac-4fcd-92ec-e79e5252348a", "DnsTreeName": "contoso.com", "DnsName": "contoso.com", "NetBiosName": "CONTOSO"},
  "ActiveDirectoryConfig": {"GroupManagedServiceAccounts": [{"Name": "webapp01", "Scope": "contoso.com"}, {"Name": "webapp01", "Scope": "CONTOSO"}]}
}`

func withHost(t testing.TB, guid, input string) string {
	t.Helper()
	b, err := credspec.SetHostAccountConfig([]byte(contoso), credspec.HostAccountConfig{PortableCcgVersion: "1", PluginGUID: guid, PluginInput: input})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// world is an agent with real sources, a real local store and a real trail.
type world struct {
	t testing.TB
	*Agent
	dir      string
	store    *local.Store
	fetches  *counted
	settings Settings
	logs     *lockedBuffer
	trail    *brittleTrail
	runtimes []string
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

// brittleTrail is a trail whose disk can be made to fail.
type brittleTrail struct {
	*audit.Log
	fails bool
}

func (b *brittleTrail) Write(r audit.Record) error {
	if b.fails {
		return errors.New("the disk is full")
	}
	return b.Log.Write(r)
}

// counted counts what reaches the store behind the cache.
type counted struct {
	*secrets.Mux
	mu sync.Mutex
	n  int
}

func (c *counted) Fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return c.Mux.Fetch(ctx, ref)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), logs: &lockedBuffer{}}
	specs := filepath.Join(w.dir, "specs")
	if err := os.MkdirAll(specs, 0o700); err != nil {
		t.Fatal(err)
	}
	w.file("webapp01.json", contoso)
	mux, err := sources.New(sources.Config{Folders: []string{specs}})
	if err != nil {
		t.Fatal(err)
	}
	if w.store, err = local.Open(filepath.Join(w.dir, "secrets")); err != nil {
		t.Fatal(err)
	}
	w.put("contoso", "contoso.com")
	w.fetches = &counted{Mux: secrets.NewMux(map[string]secrets.Store{"local": w.store})}
	cache := secrets.NewCache(w.fetches)
	t.Cleanup(func() { _ = cache.Close() })
	log, err := audit.Open(filepath.Join(w.dir, "audit.log"), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	w.trail = &brittleTrail{Log: log}
	w.settings = Settings{Specs: mux, Secrets: cache, Local: w.store}
	w.start()
	t.Cleanup(func() {
		_ = w.Agent.Close()
		w.checkNothingLeaked()
	})
	return w
}

// start makes an agent on the state that is there, as after a kill.
func (w *world) start() {
	w.t.Helper()
	a, err := New(Options{StateDir: w.dir, Trail: w.trail, Log: slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), Settings: w.settings, Runtimes: w.runtimes})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Agent = a
}

func (w *world) file(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "specs", name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(name, domain string) {
	w.t.Helper()
	c := &secrets.Credential{Domain: domain, User: "gmsa-plugin", Password: secrets.New([]byte(password))}
	if err := w.store.Put(w.t.Context(), name, c); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) apply(change func(*Settings)) {
	change(&w.settings)
	w.Apply(w.settings)
}

// checkNothingLeaked looks for the password and for tokens in everything that
// the agent wrote.
func (w *world) checkNothingLeaked() {
	w.t.Helper()
	look := func(where, text string) {
		for _, secret := range []string{"p4ss-canary", wire.TokenPrefix} {
			if strings.Contains(text, secret) {
				w.t.Errorf("%s contains %q", where, secret)
			}
		}
	}
	look("the log", w.logs.String())
	err := filepath.Walk(w.dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() || filepath.Base(filepath.Dir(path)) == "specs" {
			return err
		}
		b, err := os.ReadFile(path)
		look(path, string(b))
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
}

func (w *world) records(events ...audit.Event) []audit.Record {
	w.t.Helper()
	var out []audit.Record
	for r, err := range audit.Read(filepath.Join(w.dir, "audit.log")) {
		if err != nil {
			w.t.Fatal(err)
		}
		if len(events) == 0 || slices.Contains(events, r.Event) {
			out = append(out, r)
		}
	}
	return out
}

func facts(id, ref string) hook.Facts {
	return hook.Facts{
		Key: hook.Key{Runtime: "containerd", Namespace: "default", ID: id}, Image: "registry.example/app:1",
		Annotations: map[string]string{annotation: ref},
	}
}

func (w *world) admit(f hook.Facts) hook.Admission {
	w.t.Helper()
	got, err := w.Admit(w.t.Context(), f)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func tokenOf(t testing.TB, a hook.Admission) string {
	t.Helper()
	s, err := credspec.Parse(a.Document)
	if err != nil {
		t.Fatal(err)
	}
	h := s.ActiveDirectoryConfig.HostAccountConfig
	if h == nil || h.PluginGUID != credspec.PluginGUID || h.PortableCcgVersion != "1" || !wire.ValidToken(h.PluginInput) {
		t.Fatal("the document does not name our plugin with a token")
	}
	return h.PluginInput
}

func allowed() error { return nil }

func (w *world) redeem(token string) (*secrets.Credential, error) {
	return w.Redeem(w.t.Context(), &audit.Peer{PID: 1, User: "uid:0"}, allowed, token)
}

func (w *world) mustRedeem(token string) {
	w.t.Helper()
	c, err := w.redeem(token)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Wipe()
	if c.Domain != "contoso.com" || c.User != "gmsa-plugin" || string(c.Password.Bytes()) != password {
		w.t.Error("another credential came out than went in")
	}
}

func (w *world) mustNotRedeem(token string, kind error) {
	w.t.Helper()
	c, err := w.redeem(token)
	if c != nil || !errors.Is(err, kind) {
		w.t.Errorf("redeemed %v, %v; want %v", c != nil, err, kind)
	}
}

func TestAnAdmittedContainerRedeemsItsSecret(t *testing.T) {
	w := newWorld(t)
	answer := w.admit(facts("c1", "file://webapp01.json"))
	w.mustRedeem(tokenOf(t, answer))

	got := w.records(audit.AdmitGranted, audit.RedeemReleased)
	if len(got) != 2 {
		t.Fatalf("records: %v", got)
	}
	for i := range got {
		got[i].Time, got[i].Version = got[0].Time, ""
	}
	key := facts("c1", "").Key
	want := audit.Record{
		Time: got[0].Time, Event: audit.AdmitGranted, Container: &key, Image: "registry.example/app:1", Reference: "file://webapp01.json",
		Digest: credspec.Digest([]byte(contoso)), Domain: "contoso.com", Account: "webapp01", Grant: answer.Grant, Secret: "local://contoso",
	}
	released := want
	released.Event, released.Peer = audit.RedeemReleased, &audit.Peer{PID: 1, User: "uid:0"}
	if diff := cmp.Diff([]audit.Record{want, released}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheAdmittedDocumentDiffersOnlyInItsHostAccountConfig(t *testing.T) {
	w := newWorld(t)
	answer := w.admit(facts("c1", "file://webapp01.json"))
	var before, after map[string]any
	if err := errors.Join(json.Unmarshal([]byte(contoso), &before), json.Unmarshal(answer.Document, &after)); err != nil {
		t.Fatal(err)
	}
	delete(after["ActiveDirectoryConfig"].(map[string]any), "HostAccountConfig")
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	if !bytes.Contains(answer.Document, []byte(`{"a": 1.50, "b": [null]}`)) {
		t.Error("an unknown field was written anew")
	}
}

func TestWhatACredentialSpecLacksIsSaidAndRefused(t *testing.T) {
	replaced := func(old, new string) string { return strings.Replace(contoso, old, new, 1) }
	tests := map[string]struct {
		ref, file string
		kind      error
		says      []string
	}{
		"not JSON":              {file: `{"CmsPlugins": oops`, kind: fault.ErrMalformed, says: []string{"file://x.json"}},
		"a missing field":       {file: replaced(`"DnsName": "contoso.com", `, ""), kind: fault.ErrMalformed, says: []string{"/DomainJoinConfig", "DnsName"}},
		"a malformed SID":       {file: replaced("S-1-5-21-2126449477", "S-1-5-21-x"), kind: fault.ErrMalformed, says: []string{"/DomainJoinConfig/Sid"}},
		"a malformed GUID":      {file: replaced("244818ae-", "244818a-"), kind: fault.ErrMalformed, says: []string{"/DomainJoinConfig/Guid"}},
		"nobody's domain":       {file: strings.NewReplacer("contoso.com", "fabrikam.com", "CONTOSO", "FABRIKAM").Replace(contoso), kind: fault.ErrNotFound, says: []string{"fabrikam.com"}},
		"an unknown scheme":     {ref: "gopher://x", kind: fault.ErrMalformed, says: []string{"gopher"}},
		"what only dockerd has": {ref: "config://abc", kind: errors.ErrUnsupported, says: []string{"config://abc"}},
		"a path that climbs":    {ref: "file://../audit.log", kind: fault.ErrMalformed, says: []string{"file://../audit.log"}},
		"a missing file":        {ref: "file://missing.json", kind: fault.ErrNotFound, says: []string{"file://missing.json"}},
		"a wrong pin":           {ref: "file://webapp01.json#sha256=" + strings.Repeat("0", 64), kind: fault.ErrDenied, says: []string{"sha256"}},
		"no reference":          {ref: " ", kind: fault.ErrMalformed, says: []string{"asks for no credential spec"}},
		"a secret not there":    {file: withHost(t, credspec.PluginGUID, "local://nobody"), kind: fault.ErrNotFound, says: []string{"local://nobody"}},
		"a secret without form": {file: withHost(t, credspec.PluginGUID, "what is this"), kind: fault.ErrMalformed, says: []string{"PluginInput"}},
		"a made-up token":       {file: withHost(t, credspec.PluginGUID, wire.TokenPrefix+strings.Repeat("A", 43)), kind: fault.ErrDenied, says: []string{"gone"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if tt.ref == "" {
				tt.ref = "file://x.json"
				w.file("x.json", tt.file)
			}
			_, err := w.Admit(t.Context(), facts("c1", tt.ref))
			if !errors.Is(err, tt.kind) {
				t.Fatalf("error %v, want %v", err, tt.kind)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q does not say %q", err, s)
				}
			}
			if got := w.records(audit.AdmitRefused); len(got) != 1 || got[0].Reason != err.Error() {
				t.Errorf("records: %v", got)
			}
			if got := w.Containers(); len(got) != 1 || got[0].Decision != Refused || got[0].Reason != err.Error() {
				t.Errorf("containers: %v", got)
			}
		})
	}
}

func TestAGrantEndsWithItsContainer(t *testing.T) {
	w := newWorld(t)
	one, two := w.admit(facts("c1", "file://webapp01.json")), w.admit(facts("c2", "file://webapp01.json"))
	if err := w.Ended(t.Context(), facts("c1", "").Key, time.Now(), "deleted"); err != nil {
		t.Fatal(err)
	}
	w.mustNotRedeem(tokenOf(t, one), fault.ErrNotFound)
	w.mustRedeem(tokenOf(t, two))
	if got := w.records(audit.GrantRevoked); len(got) != 1 || got[0].Grant != one.Grant || got[0].Reason != "deleted" {
		t.Errorf("records: %v", got)
	}
	if got := w.records(audit.RedeemRefused); len(got) != 1 {
		t.Errorf("records: %v", got)
	}
}

func TestGrantsOutliveAnAgentThatIsKilled(t *testing.T) {
	w := newWorld(t)
	one, two := tokenOf(t, w.admit(facts("c1", "file://webapp01.json"))), tokenOf(t, w.admit(facts("c2", "file://webapp01.json")))
	if err := w.Ended(t.Context(), facts("c2", "").Key, time.Now(), "deleted"); err != nil {
		t.Fatal(err)
	}
	killed := w.Agent // not closed: nothing is written at its end
	w.start()
	defer killed.Close() //nolint:errcheck // only for its file
	w.mustRedeem(one)
	w.mustNotRedeem(two, fault.ErrNotFound)
}

func TestReconcilingEndsWhatIsGoneAndSparesWhatIsNew(t *testing.T) {
	w := newWorld(t)
	stays, goes := facts("stays", "file://webapp01.json"), facts("goes", "file://webapp01.json")
	a, b := tokenOf(t, w.admit(stays)), tokenOf(t, w.admit(goes))
	mark := w.Mark()
	c := tokenOf(t, w.admit(facts("admitted-after-the-listing", "file://webapp01.json")))
	if err := w.Live(t.Context(), "containerd", mark, []hook.Key{stays.Key}); err != nil {
		t.Fatal(err)
	}
	w.mustRedeem(a)
	w.mustNotRedeem(b, fault.ErrNotFound)
	w.mustRedeem(c)
	if err := w.Live(t.Context(), "docker", w.Mark(), nil); err != nil {
		t.Fatal(err)
	}
	w.mustRedeem(a) // another runtime's listing says nothing of it
}

func TestADocumentIsGoodForItsOwnContainerOnly(t *testing.T) {
	w := newWorld(t)
	own := facts("c1", "file://webapp01.json")
	answer := w.admit(own)

	// As the wrapper sees a container that the watch has been at: the
	// annotation is still there.
	again := own
	again.CredentialSpec = string(answer.Document)
	bare := hook.Facts{Key: own.Key, CredentialSpec: string(answer.Document)}
	for _, f := range []hook.Facts{again, bare} {
		if got := w.admit(f); !bytes.Equal(got.Document, answer.Document) || got.Grant != answer.Grant {
			t.Error("the same container's document changed at the second look")
		}
		if err := w.Admitted(t.Context(), f); err != nil {
			t.Errorf("its own document: %v", err)
		}
	}
	if w.Status().Grants != 1 || len(w.records(audit.AdmitGranted)) != 1 {
		t.Errorf("%d grants, %v", w.Status().Grants, w.records())
	}
	w.mustRedeem(tokenOf(t, answer))
	changed := strings.ReplaceAll(string(answer.Document), "webapp01", "webapp02")
	for name, f := range map[string]hook.Facts{
		"another container with this document": {Key: facts("c2", "").Key, CredentialSpec: string(answer.Document)},
		"the container with another document":  {Key: own.Key, CredentialSpec: changed},
	} {
		if _, err := w.Admit(t.Context(), f); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Admitted(t.Context(), f); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := w.Ended(t.Context(), own.Key, time.Now(), "deleted"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Admit(t.Context(), bare); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("the document of a container that was deleted: %v", err)
	}
}

func TestAskingWhatWasAdmittedChangesNothing(t *testing.T) {
	w := newWorld(t)
	token := tokenOf(t, w.admit(facts("c1", "file://webapp01.json")))
	before := len(w.records())
	unadmitted := facts("c1", "file://webapp01.json")
	unadmitted.CredentialSpec = contoso
	if err := w.Admitted(t.Context(), unadmitted); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("a document without the grant: %v", err)
	}
	if len(w.records()) != before || w.Status().Grants != 1 {
		t.Error("it left a record or a grant")
	}
	w.mustRedeem(token)
}

func TestAnAnnotationThatNamesSomethingElseAsksAnew(t *testing.T) {
	w := newWorld(t)
	w.file("other.json", strings.Replace(contoso, `"webapp01", "Scope": "CONTOSO"`, `"webapp02", "Scope": "CONTOSO"`, 1))
	f := facts("c1", "file://webapp01.json")
	first := w.admit(f)
	f.CredentialSpec = string(first.Document)
	f.Annotations = map[string]string{annotation: "file://other.json"}
	if second := w.admit(f); second.Grant == first.Grant {
		t.Error("the earlier document was given again")
	}
}

func TestAContainerThatIsCreatedAgainGetsANewGrant(t *testing.T) {
	w := newWorld(t)
	f := facts("c1", "file://webapp01.json")
	first, second := tokenOf(t, w.admit(f)), tokenOf(t, w.admit(f))
	w.mustNotRedeem(first, fault.ErrNotFound)
	w.mustRedeem(second)
}

func TestTheSecretComesFromDocumentContainerConfigurationOrDomain(t *testing.T) {
	serve := func(domain, account, secret string) config.Serve {
		return config.Serve{Domain: domain, Account: account, Secret: secret}
	}
	tests := map[string]struct {
		document  string
		container string
		serve     []config.Serve
		want      string
	}{
		"the document first":           {document: withHost(t, credspec.PluginGUID, "local://a"), container: "local://b", serve: []config.Serve{serve("contoso.com", "", "local://c")}, want: "local://a"},
		"then the container":           {document: contoso, container: "local://b", serve: []config.Serve{serve("contoso.com", "", "local://c")}, want: "local://b"},
		"an empty input names nothing": {document: withHost(t, credspec.PluginGUID, ""), container: "local://b", want: "local://b"},
		"then the account's":           {document: contoso, serve: []config.Serve{serve("contoso.com", "", "local://c"), serve("CONTOSO", "WebApp01", "local://d")}, want: "local://d"},
		"then the domain's":            {document: contoso, serve: []config.Serve{serve("contoso.com", "other", "local://d"), serve("Contoso.com", "", "local://c")}, want: "local://c"},
		"then the only local one":      {document: contoso, want: "local://contoso"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, n := range []string{"a", "b", "c", "d"} {
				if tt.want != "local://contoso" {
					w.put(n, "CONTOSO")
				}
			}
			w.apply(func(s *Settings) { s.Serve = tt.serve })
			w.file("x.json", tt.document)
			f := facts("c1", "file://x.json")
			if tt.container != "" {
				f.Annotations[hook.KeySecret] = tt.container
			}
			w.admit(f)
			if got := w.Containers()[0].Secret; got != tt.want {
				t.Errorf("secret %s, want %s", got, tt.want)
			}
		})
	}
}

func TestASecretServesOnlyItsOwnDomain(t *testing.T) {
	w := newWorld(t)
	w.put("fabrikam", "fabrikam.com")
	f := facts("c1", "file://webapp01.json")
	f.Annotations[hook.KeySecret] = "local://fabrikam"
	if _, err := w.Admit(t.Context(), f); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("a secret of another domain: %v", err)
	}
	// And not when it is changed behind a live grant either.
	token := tokenOf(t, w.admit(facts("c2", "file://webapp01.json")))
	w.put("contoso", "fabrikam.com")
	w.mustNotRedeem(token, fault.ErrDenied)
}

func TestTwoLocalSecretsOfADomainAreNotChosenFrom(t *testing.T) {
	w := newWorld(t)
	w.put("second", "CONTOSO")
	if _, err := w.Admit(t.Context(), facts("c1", "file://webapp01.json")); !errors.Is(err, fault.ErrMalformed) {
		t.Error(err)
	}
}

func TestDocumentsOfOtherPluginsPassUnchangedUnlessAdopted(t *testing.T) {
	const rancher = "{E4781092-F116-4B79-B55E-28EB6A224E26}"
	w := newWorld(t)
	doc := withHost(t, rancher, "local://contoso")
	w.file("x.json", doc)
	if got := w.admit(facts("c1", "file://x.json")); string(got.Document) != doc || got.Grant != "" {
		t.Error("another plugin's document was changed")
	}
	if got := w.Containers(); len(got) != 1 || got[0].Decision != Passed {
		t.Errorf("containers: %v", got)
	}
	w.apply(func(s *Settings) { s.Adopt = []string{strings.ToLower(rancher)} })
	w.mustRedeem(tokenOf(t, w.admit(facts("c1", "file://x.json"))))
	if got := w.Containers(); len(got) != 1 || got[0].Decision != Granted {
		t.Errorf("containers: %v", got)
	}
}

func TestADomainMemberPassesWhatNoSecretServes(t *testing.T) {
	w := newWorld(t)
	if err := w.store.Remove(t.Context(), "contoso"); err != nil {
		t.Fatal(err)
	}
	w.apply(func(s *Settings) { s.DomainJoined = true })
	if got := w.admit(facts("c1", "file://webapp01.json")); string(got.Document) != contoso {
		t.Error("the document was changed")
	}
	if got := w.records(audit.AdmitPassed); len(got) != 1 || got[0].Reason == "" {
		t.Errorf("records: %v", got)
	}
}

func TestThePolicySaysWhetherTheHostsOwnAccountMayBeUsed(t *testing.T) {
	const (
		granted = "granted" // with a plugin user
		passed  = "passed"  // with the host's own account
		refused = "refused"
		rancher = "{E4781092-F116-4B79-B55E-28EB6A224E26}"
	)
	for name, tt := range map[string]struct {
		member, secret                                bool
		plugin                                        string // in the document; empty: none
		names                                         bool   // the container names the secret
		byDefault, allow, forbid, require, requireWhy string
	}{
		"a member, no secret":            {member: true, byDefault: passed, allow: passed, forbid: refused, require: passed},
		"a member, a secret":             {member: true, secret: true, byDefault: granted, allow: granted, forbid: granted, require: passed},
		"a member, a secret by name":     {member: true, secret: true, names: true, byDefault: granted, allow: granted, forbid: granted, require: refused, requireWhy: "names a secret"},
		"a member, our plugin":           {member: true, secret: true, plugin: credspec.PluginGUID, byDefault: granted, allow: granted, forbid: granted, require: refused, requireWhy: credspec.PluginGUID},
		"a member, another plugin":       {member: true, secret: true, plugin: rancher, byDefault: passed, allow: passed, forbid: passed, require: refused, requireWhy: rancher},
		"not a member, no secret":        {byDefault: refused, allow: refused, forbid: refused, require: refused, requireWhy: "no member of a domain"},
		"not a member, a secret":         {secret: true, byDefault: granted, allow: granted, forbid: granted, require: refused, requireWhy: "no member of a domain"},
		"not a member, a secret by name": {secret: true, names: true, byDefault: granted, allow: granted, forbid: granted, require: refused, requireWhy: "names a secret"},
	} {
		for policy, want := range map[config.HostAccount]string{
			"": tt.byDefault, config.HostAccountAllow: tt.allow, config.HostAccountForbid: tt.forbid, config.HostAccountRequire: tt.require,
		} {
			t.Run(fmt.Sprintf("%s, %s", name, policy), func(t *testing.T) {
				w := newWorld(t)
				if !tt.secret {
					if err := w.store.Remove(t.Context(), "contoso"); err != nil {
						t.Fatal(err)
					}
				}
				document := contoso
				if tt.plugin != "" {
					document = withHost(t, tt.plugin, "local://contoso")
				}
				w.file("x.json", document)
				w.apply(func(s *Settings) { s.DomainJoined, s.Policy.HostAccount = tt.member, policy })
				f := facts("c1", "file://x.json")
				if tt.names {
					f.Annotations[hook.KeySecret] = "local://contoso"
				}
				a, err := w.Admit(t.Context(), f)
				got := refused
				switch {
				case err == nil && a.Grant != "":
					got = granted
				case err == nil:
					got = passed
					if string(a.Document) != document {
						t.Error("the document was changed")
					}
				}
				if got != want {
					t.Fatalf("%s (%v), want %s", got, err, want)
				}
				if policy == config.HostAccountRequire && err != nil &&
					(!errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "policy.host_account requires") || !strings.Contains(err.Error(), tt.requireWhy)) {
					t.Errorf("error %v", err)
				}
				if policy == config.HostAccountForbid && tt.member && err != nil &&
					(!errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "policy.host_account forbids")) {
					t.Errorf("error %v", err)
				}
				if r := w.records(audit.AdmitPassed, audit.AdmitRefused); want != granted && (len(r) != 1 || r[0].Reason == "") {
					t.Errorf("records: %v", r)
				}
			})
		}
	}
}

func TestWhereTheHostsOwnAccountIsRequiredNoSecretIsReleased(t *testing.T) {
	w := newWorld(t)
	token := tokenOf(t, w.admit(facts("c1", "file://webapp01.json")))
	w.mustRedeem(token)
	w.apply(func(s *Settings) { s.DomainJoined, s.Policy.HostAccount = true, config.HostAccountRequire })
	if _, err := w.Redeem(t.Context(), nil, func() error { return nil }, token); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "policy.host_account") {
		t.Errorf("got %v", err)
	}
	if r := w.records(audit.RedeemRefused); len(r) != 1 || r[0].Grant == "" {
		t.Errorf("records: %v", r)
	}
}

func TestThePolicyNarrowsWhoMayUseAGMSA(t *testing.T) {
	tests := map[string]struct {
		rule   config.Rule
		admits bool
	}{
		"an empty rule":        {config.Rule{}, true},
		"its domain":           {config.Rule{Domains: []string{"Contoso.COM"}}, true},
		"its NetBIOS name":     {config.Rule{Domains: []string{"CONTOSO"}}, false},
		"another domain":       {config.Rule{Domains: []string{"fabrikam.com"}}, false},
		"its account":          {config.Rule{Accounts: []config.Pattern{"WEBAPP*"}}, true},
		"another account":      {config.Rule{Accounts: []config.Pattern{"db*"}}, false},
		"its namespace":        {config.Rule{Namespaces: []config.Pattern{"k8s.io", "default"}}, true},
		"another namespace":    {config.Rule{Namespaces: []config.Pattern{"k8s.io"}}, false},
		"its image":            {config.Rule{Images: []config.Pattern{"registry.example/*"}}, true},
		"another image":        {config.Rule{Images: []config.Pattern{"evil.example/*"}}, false},
		"its label":            {config.Rule{Labels: map[string]config.Pattern{annotation: "file://*"}}, true},
		"a label it lacks":     {config.Rule{Labels: map[string]config.Pattern{"team": "*"}}, false},
		"its secret":           {config.Rule{Secrets: []config.Pattern{"local://contoso"}}, true},
		"another secret":       {config.Rule{Secrets: []config.Pattern{"local://other"}}, false},
		"all but one of three": {config.Rule{Domains: []string{"contoso.com"}, Accounts: []config.Pattern{"webapp01"}, Images: []config.Pattern{"x"}}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.apply(func(s *Settings) { s.Policy.Allow = []config.Rule{{Domains: []string{"other.example"}}, tt.rule} })
			_, err := w.Admit(t.Context(), facts("c1", "file://webapp01.json"))
			if tt.admits && err != nil || !tt.admits && !errors.Is(err, fault.ErrDenied) {
				t.Error(err)
			}
		})
	}
}

func TestALabelCannotHideAnAnnotationFromThePolicy(t *testing.T) {
	w := newWorld(t)
	w.apply(func(s *Settings) { s.Policy.Allow = []config.Rule{{Labels: map[string]config.Pattern{"team": "a"}}} })
	f := facts("c1", "file://webapp01.json")
	f.Annotations["team"], f.Labels = "b", map[string]string{"team": "a"}
	if _, err := w.Admit(t.Context(), f); !errors.Is(err, fault.ErrDenied) {
		t.Error(err)
	}
}

func TestNothingTakesEffectThatCannotBeRecorded(t *testing.T) {
	w := newWorld(t)
	token := tokenOf(t, w.admit(facts("c1", "file://webapp01.json")))
	w.trail.fails = true
	if _, err := w.Admit(t.Context(), facts("c2", "file://webapp01.json")); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("admitted without a record: %v", err)
	}
	if w.Status().Grants != 1 {
		t.Error("a grant without a record")
	}
	w.mustNotRedeem(token, fault.ErrUnavailable)
	// But a grant must end.
	if err := w.Ended(t.Context(), facts("c1", "").Key, time.Now(), "deleted"); err != nil {
		t.Error(err)
	}
	w.trail.fails = false
	w.mustNotRedeem(token, fault.ErrNotFound)
}

func TestACallerThatEndedGetsNothing(t *testing.T) {
	w := newWorld(t)
	token := tokenOf(t, w.admit(facts("c1", "file://webapp01.json")))
	gone := fmt.Errorf("it has ended: %w", fault.ErrDenied)
	if c, err := w.Redeem(t.Context(), nil, func() error { return gone }, token); c != nil || !errors.Is(err, fault.ErrDenied) {
		t.Error(err)
	}
	if got := w.records(audit.RedeemRefused); len(got) != 1 || len(w.records(audit.RedeemReleased)) != 0 {
		t.Errorf("records: %v", w.records())
	}
}

func TestManyContainersAtOnceMakeOneFetch(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := w.Admit(t.Context(), facts(fmt.Sprint(i), "file://webapp01.json")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if w.fetches.n != 1 {
		t.Errorf("%d fetches", w.fetches.n)
	}
}

func TestRefusedContainersAreForgottenInTheOrderTheyCame(t *testing.T) {
	w := newWorld(t)
	for i := range maxDecisions + 3 {
		_, _ = w.Admit(t.Context(), facts(fmt.Sprint(i), "file://missing.json"))
	}
	got := w.Containers()
	if len(got) != maxDecisions {
		t.Fatalf("%d remembered", len(got))
	}
	if _, err := w.Container("2"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("the third is still there: %v", err)
	}
	if _, err := w.Container("3"); err != nil {
		t.Error(err)
	}
}

func TestANameThatADocumentMakesUpDoesNotGetAnotherDomainsSecret(t *testing.T) {
	named := func(dns, netbios string) string {
		return strings.NewReplacer(`"DnsName": "contoso.com"`, `"DnsName": "`+dns+`"`, `"NetBiosName": "CONTOSO"`, `"NetBiosName": "`+netbios+`"`).Replace(contoso)
	}
	raw := func(doc string) hook.Facts { return hook.Facts{Key: facts("c1", "").Key, CredentialSpec: doc} }
	t.Run("a DNS name in the place of the NetBIOS name", func(t *testing.T) {
		w := newWorld(t)
		if _, err := w.Admit(t.Context(), raw(named("evil.example", "contoso.com"))); err == nil {
			t.Error("admitted")
		}
	})
	t.Run("a NetBIOS name that its author made up", func(t *testing.T) {
		w := newWorld(t)
		w.put("contoso", "CONTOSO")
		if _, err := w.Admit(t.Context(), raw(named("evil.example", "CONTOSO"))); err == nil {
			t.Error("admitted")
		}
		f := raw(contoso)
		f.Annotations = map[string]string{hook.KeySecret: "local://contoso"}
		if _, err := w.Admit(t.Context(), f); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "secrets.serve") {
			t.Errorf("not told what to do: %v", err)
		}
	})
	t.Run("unless an administrator has put the document there", func(t *testing.T) {
		w := newWorld(t)
		w.put("contoso", "CONTOSO")
		w.mustRedeemAs(w.admit(facts("c1", "file://webapp01.json")), "CONTOSO")
	})
	t.Run("or has named the secret for the DNS name", func(t *testing.T) {
		w := newWorld(t)
		w.put("contoso", "CONTOSO")
		w.apply(func(s *Settings) { s.Serve = []config.Serve{{Domain: "contoso.com", Secret: "local://contoso"}} })
		w.mustRedeemAs(w.admit(raw(contoso)), "CONTOSO")
	})
}

func (w *world) mustRedeemAs(a hook.Admission, domain string) {
	w.t.Helper()
	c, err := w.redeem(tokenOf(w.t, a))
	if err != nil || c.Domain != domain {
		w.t.Errorf("redeemed %v", err)
	}
	c.Wipe()
}

func TestADomainRuleCoversTheScopesOfAllAccounts(t *testing.T) {
	w := newWorld(t)
	w.apply(func(s *Settings) { s.Policy.Allow = []config.Rule{{Domains: []string{"contoso.com"}}} })
	w.file("x.json", strings.Replace(contoso, `{"Name": "webapp01", "Scope": "CONTOSO"}`, `{"Name": "webapp01", "Scope": "CONTOSO"}, {"Name": "payroll", "Scope": "fabrikam.com"}`, 1))
	if _, err := w.Admit(t.Context(), facts("c1", "file://x.json")); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "fabrikam.com") {
		t.Error(err)
	}
}

func TestOurPluginWithoutASecretIsRefusedOnADomainMemberToo(t *testing.T) {
	w := newWorld(t)
	w.apply(func(s *Settings) { s.DomainJoined, s.Local = true, nil })
	w.file("x.json", withHost(t, credspec.PluginGUID, ""))
	if _, err := w.Admit(t.Context(), facts("c1", "file://x.json")); !errors.Is(err, fault.ErrNotFound) {
		t.Error(err)
	}
}

func TestTheEndOfAnEarlierContainerSparesItsSuccessorsGrant(t *testing.T) {
	w := newWorld(t)
	f := facts("c1", "file://webapp01.json")
	w.admit(f)
	deleted := time.Now()
	token := tokenOf(t, w.admit(f))
	if err := w.Ended(t.Context(), f.Key, deleted, "deleted"); err != nil {
		t.Fatal(err)
	}
	w.mustRedeem(token)
}

func TestEveryGrantThatEndsIsRecordedOnce(t *testing.T) {
	w := newWorld(t)
	const n = 40
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := w.Admit(t.Context(), facts("same", "file://webapp01.json")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	key := facts("same", "").Key
	for range 2 {
		wg.Go(func() { _ = w.Ended(t.Context(), key, time.Now(), "deleted") })
		wg.Go(func() { _ = w.Live(t.Context(), "containerd", w.Mark(), nil) })
	}
	wg.Wait()
	granted, ended := map[string]int{}, map[string]int{}
	for _, r := range w.records(audit.AdmitGranted) {
		granted[r.Grant]++
	}
	for _, r := range w.records(audit.GrantRevoked) {
		ended[r.Grant]++
	}
	if diff := cmp.Diff(granted, ended); diff != "" || len(granted) != n {
		t.Errorf("%d granted; granted and ended differ: %s", len(granted), diff)
	}
}

func TestNothingIsReleasedAfterTheRecordOfTheGrantsEnd(t *testing.T) {
	w := newWorld(t)
	f := facts("c1", "file://webapp01.json")
	token := tokenOf(t, w.admit(f))
	// The container goes when everything but the release itself is decided.
	c, err := w.Redeem(t.Context(), nil, func() error { return w.Ended(t.Context(), f.Key, time.Now(), "deleted") }, token)
	if c != nil || !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("released %v, %v", c != nil, err)
	}
	if got := w.records(audit.RedeemReleased); len(got) != 0 {
		t.Errorf("records: %v", got)
	}
}

func TestGrantsOfAnEarlierAgentWaitForTheListingOfContainers(t *testing.T) {
	w := newWorld(t)
	stays, goes := facts("stays", "file://webapp01.json"), facts("goes", "file://webapp01.json")
	a, b := tokenOf(t, w.admit(stays)), tokenOf(t, w.admit(goes))
	w.runtimes = []string{"containerd"}
	killed := w.Agent
	w.start()
	defer killed.Close() //nolint:errcheck // only for its file
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Redeem(impatient, nil, allowed, a); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("before the listing: %v", err)
	}
	done := make(chan error)
	go func() {
		c, err := w.redeem(a)
		c.Wipe()
		done <- err
	}()
	if err := w.Live(t.Context(), "containerd", w.Mark(), []hook.Key{stays.Key}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after the listing: %v", err)
	}
	w.mustNotRedeem(b, fault.ErrNotFound)
	w.mustRedeem(tokenOf(t, w.admit(facts("new", "file://webapp01.json"))))
}

func TestRefusalsOfOneCallerCannotFloodTheTrail(t *testing.T) {
	w := newWorld(t)
	const n = 500
	for range n {
		w.mustNotRedeem(wire.TokenPrefix+strings.Repeat("A", 43), fault.ErrNotFound)
	}
	if got := len(w.records(audit.RedeemRefused)); got > refusalBurst {
		t.Errorf("%d records", got)
	}
	r := audit.Record{Event: audit.RedeemRefused, Peer: &audit.Peer{PID: 1, User: "uid:0"}, Reason: "x"}
	if !w.refusals.thin(&r, time.Now().Add(refusalInterval)) || !strings.Contains(r.Reason, fmt.Sprint(n-refusalBurst)) {
		t.Errorf("what was left out is not told: %q", r.Reason)
	}
}

func TestAPanicInASourceIsARefusal(t *testing.T) {
	w := newWorld(t)
	w.apply(func(s *Settings) { s.Specs = panicking{} })
	_, err := w.Admit(t.Context(), facts("c1", "file://webapp01.json"))
	if err == nil || strings.Contains(err.Error(), "p4ss-canary") {
		t.Error(err)
	}
	if len(w.records(audit.AdmitRefused)) != 1 {
		t.Error("no record")
	}
}

type panicking struct{}

func (panicking) Resolve(context.Context, credspec.Ref) (credspec.Document, error) {
	panic("p4ss-canary")
}

func TestWhatIsRememberedOfARefusalIsBounded(t *testing.T) {
	w := newWorld(t)
	f := facts("c1", "raw://{"+strings.Repeat(`"x":`, 30<<10))
	f.Image = strings.Repeat("i", maxImage)
	if _, err := w.Admit(t.Context(), f); err == nil {
		t.Fatal("admitted")
	}
	if b, err := json.Marshal(w.Containers()); err != nil || len(b) > 8<<10 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	f.Image += "i"
	if _, err := w.Admit(t.Context(), f); !errors.Is(err, fault.ErrMalformed) {
		t.Error(err)
	}
}
