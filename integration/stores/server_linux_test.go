package stores

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/kubelab"
	"github.com/gmsa-agent/gmsa-agent/integration/netlab"
	"github.com/gmsa-agent/gmsa-agent/integration/vaultlab"
)

// server is a secret store that runs, real or a double. Its methods fail the
// test that started it.
type server interface {
	// settings is what the agent's configuration says of it, as YAML has it.
	settings() map[string]any
	// ref is a reference to the secret with a name, as the trail has it.
	ref(name string) string
	// put stores a text under a name, as a new version where there is one.
	put(name, content string)
	// remove removes the secret with a name.
	remove(name string)
	// requests is how often it was asked for the secret with a name, by those
	// whom it knows.
	requests(name string) int
	// become puts the server into a condition, and says whether it can.
	become(condition) bool
	// credentials are those that it has handed out, or that it takes: whatever
	// the agent may show nobody, besides passwords.
	credentials() []string
}

// dialect is a server whose secrets another CCG plugin could have.
type dialect interface {
	server
	// plugin is the other plugin's CLSID, and input what a document for it says.
	plugin() string
	input(name string) string
}

// kind is a kind of store.
type kind struct {
	// scheme is that of its references.
	scheme string
	// tells says that the agent knows at once, or soon, of a secret that was
	// changed. Of the others it knows when it asks.
	tells bool
	// ready says why there can be no server; nil when there can.
	ready func() error
	// start starts a server for a host, which leads to it from its network.
	start func(h *host) server
}

// kinds are those that this version has.
func kinds() []kind {
	return []kind{
		{"local", true, func() error { return nil }, startLocal},
		{"azurekeyvault", false, func() error { return nil }, startAzure},
		{"kubernetes", true, kubelab.Ready, startKubernetes},
		{"vault", false, vaultlab.Ready, startVault},
		{"awssecretsmanager", false, awslab.Ready, startSecretsManager},
		{"awsssm", false, awslab.Ready, startParameters},
		{"gcpsecretmanager", false, func() error { return nil }, startGCP},
	}
}

// content is what a store holds of a plugin user.
func content(t testing.TB, domain, user string, password []byte) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"domainName": domain, "username": user, "password": string(password)})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// everyKind runs a test for each kind of store that there can be a server of.
func everyKind(t *testing.T, f func(t *testing.T, k kind)) {
	t.Helper()
	for _, k := range kinds() {
		ofKind(t, k.scheme, f)
	}
}

// ofKind runs a test for one kind of store, if there can be a server of it.
func ofKind(t *testing.T, scheme string, f func(t *testing.T, k kind)) {
	t.Helper()
	all := kinds()
	k := all[slices.IndexFunc(all, func(k kind) bool { return k.scheme == scheme })]
	t.Run(k.scheme, func(t *testing.T) {
		if err := netlab.Ready(); err != nil {
			t.Skip(err)
		}
		if err := k.ready(); err != nil {
			t.Skip(err)
		}
		f(t, k)
	})
}

// token is a text that nobody can guess, and that is nowhere by chance.
func token() string { return rand.Text() }
