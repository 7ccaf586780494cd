package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/integration/containerdlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// startContainerd gives the host a containerd with the shim wrapper. It comes
// before the agent.
func (h *host) startContainerd() {
	h.Helper()
	if err := containerdlab.Ready(); err != nil {
		h.Skip(err)
	}
	l, err := containerdlab.Start(h.Context(), containerdlab.Options{})
	h.must(err)
	h.Cleanup(func() { h.must(l.Stop()) })
	h.containerd = l
	h.must(os.Mkdir(filepath.Dir(h.wrapper()), 0o700))
	h.must(os.Link(filepath.Join(programs, "shim", containerdlab.Shim), h.wrapper()))
	h.write(h.path("shim", "containerd-shim-gmsa.conf"), "endpoint = "+h.endpoint()+"\n")
	h.configure(map[string]any{"containerd": []any{map[string]any{
		"address": l.Address(), "state_dir": l.StateDir(), "namespaces": []string{l.Namespace}, "inject": "never",
	}}})
}

func (h *host) wrapper() string { return h.path("shim", containerdlab.Shim) }

// container is a container that asks for a gMSA.
type container struct {
	id     string
	spec   string // a reference to a credential spec, or one
	secret string // a reference to a secret; empty: the container names none
}

func (c container) annotations() map[string]string {
	a := map[string]string{hook.KeyCredentialSpec: c.spec}
	if c.secret != "" {
		a[hook.KeySecret] = c.secret
	}
	return a
}

// run has containerd run a container, and returns the document in its bundle.
func (h *host) run(c container) []byte {
	h.Helper()
	document, err := h.tryRun(c)
	h.must(err)
	return document
}

func (h *host) tryRun(c container) ([]byte, error) {
	if err := h.containerd.Run(h.Context(), containerdlab.Container{ID: c.id, Shim: h.wrapper(), Annotations: c.annotations()}); err != nil {
		return nil, err
	}
	config, err := os.ReadFile(filepath.Join(h.containerd.Bundle(c.id), bundle.FileName))
	if err != nil {
		return nil, err
	}
	asked, err := bundle.Read(config)
	return []byte(asked.CredentialSpec), err
}

// admit asks the agent for a container's document as the shim wrapper does,
// without a runtime.
func (h *host) admit(c container) ([]byte, error) {
	var answer hook.Admission
	facts := hook.Facts{Key: key(c.id), Annotations: c.annotations()}
	err := h.call(h.Context(), agent.VerbAdmit, facts, &answer)
	return answer.Document, err
}

// key is that of a container that admit asks for. No hook watches its runtime.
func key(id string) hook.Key { return hook.Key{Runtime: "suite", Namespace: "stores", ID: id} }

// redeem redeems the grant in a document over the plugin channel, as the CCG
// plugin does. The password is the caller's to overwrite.
func (h *host) redeem(document []byte) (wire.Release, error) {
	parsed, err := credspec.Parse(document)
	if err != nil {
		return wire.Release{}, err
	}
	account := parsed.ActiveDirectoryConfig.HostAccountConfig
	if account == nil {
		return wire.Release{}, errors.New("there is no grant in the document")
	}
	return redeem(h.Context(), h.plugin(), account.PluginInput)
}

func redeem(ctx context.Context, endpoint, token string) (wire.Release, error) {
	ctx, cancel := context.WithTimeout(ctx, wire.RedeemTimeout)
	defer cancel()
	c, err := channel.Dial(ctx, channel.Plugin, endpoint)
	if err != nil {
		return wire.Release{}, err
	}
	defer c.Close() //nolint:errcheck // answered by then
	deadline, _ := ctx.Deadline()
	if err := errors.Join(c.SetDeadline(deadline), wire.WriteRedeem(c, token)); err != nil {
		return wire.Release{}, err
	}
	return wire.ReadAnswer(c)
}

// records returns the audit records of an event of a container.
func (h *host) records(event audit.Event, id string) (found []audit.Record) {
	for r, err := range audit.Read(h.path("state", "audit.jsonl")) {
		if err == nil && r.Event == event && (id == "" || r.Container != nil && r.Container.ID == id) {
			found = append(found, r)
		}
	}
	return found
}

// recorded waits for an audit record of a container, and returns the last one.
func (h *host) recorded(event audit.Event, id string) (r audit.Record) {
	h.Helper()
	lab.Eventually(h.T, fmt.Sprintf("a record %s of %s", event, id), func(context.Context) error {
		all := h.records(event, id)
		if len(all) == 0 {
			return errors.Join(errors.New("none"), h.agent.Exited())
		}
		r = all[len(all)-1]
		return nil
	})
	return r
}
