package doctor

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// maxSecrets bounds how many secrets are fetched at once: some stores take money
// for it, and their limits are of tens in a second.
const maxSecrets = 32

// wanted is a secret that somebody will be served with.
type wanted struct {
	ref   secrets.Ref
	serve []config.Serve // by which it is chosen
}

// kept lists the local store, unless there is none yet: opening it would make it.
func (h *Host) kept(ctx context.Context) ([]secrets.Entry, error) {
	if err := h.Folder(h.Config.Secrets.Local.Dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	store, err := h.Secrets()
	if err != nil {
		return nil, err
	}
	return store.List(ctx)
}

// secretChecks look at the local store's folder, and at each secret that serves.
func (h *Host) secretChecks() []Check {
	return []Check{
		{Name: "local store", Look: h.localStore},
		{Name: "secrets", Look: h.secrets, within: 2 * patience},
	}
}

func (h *Host) localStore(ctx context.Context) []Finding {
	found := h.folder(h.Config.Secrets.Local.Dir)(ctx)
	if found[0].State != OK {
		if found[0].State == Skipped {
			found[0].Message = h.Config.Secrets.Local.Dir + " is not there: no secret was ever stored in it"
		}
		return found
	}
	entries, err := h.kept(ctx)
	if err != nil {
		return []Finding{ofError(err, h.Hint(err))}
	}
	found[0].Message += "; secrets in it: " + count(len(entries))
	return found
}

func (h *Host) secrets(ctx context.Context) []Finding {
	entries, _ := h.kept(ctx) // what is wrong with the store is said by its own check
	var list []wanted
	add := func(ref secrets.Ref, serve ...config.Serve) {
		if i := slices.IndexFunc(list, func(w wanted) bool { return w.ref.Equal(ref) }); i >= 0 {
			list[i].serve = append(list[i].serve, serve...)
			return
		}
		list = append(list, wanted{ref, serve})
	}
	var found []Finding
	for _, s := range h.Config.Secrets.Serve {
		ref, err := secrets.ParseRef(s.Secret)
		if err != nil { // the configuration's check would have found it
			found = append(found, named("secret of "+s.Domain, failed(h.Hint(err), "%v", err)))
			continue
		}
		add(ref, s)
	}
	for _, e := range entries {
		add(e.Ref)
	}
	if len(list) == 0 {
		return append(found, skipped("store one: "+h.Again("secret put --domain DOMAIN --user USER NAME"), "none is kept in the local store, and secrets.serve names none"))
	}
	if more := len(list) - maxSecrets; more > 0 {
		list = list[:maxSecrets]
		found = append(found, skipped("try one: "+h.Again("secret check REF"), "the first %d are fetched, %d are not", maxSecrets, more))
	}
	store, err := h.Secrets()
	if err != nil {
		return append(found, ofError(err, h.Hint(err)))
	}
	var checks []Check
	for _, w := range list {
		checks = append(checks, Check{Name: "secret " + w.ref.String(), Look: func(ctx context.Context) []Finding { return []Finding{h.secret(ctx, store, w)} }})
	}
	return append(found, Run(ctx, checks)...)
}

// secret fetches one as `secret check` does, as the user who runs the doctor.
func (h *Host) secret(ctx context.Context, store Secrets, w wanted) Finding {
	c, err := store.Fetch(ctx, w.ref)
	if err != nil {
		return failed(h.Hint(err), "%v", err) // a reference that no store can serve is no matter of the platform
	}
	defer c.Wipe()
	check := h.Again("secret check " + w.ref.String())
	for _, s := range w.serve {
		dns, netbios := s.Domain, s.Domain
		if strings.Contains(c.Domain, ".") != strings.Contains(s.Domain, ".") {
			continue // one is a DNS name and one a NetBIOS name: a credential spec has both
		}
		if !c.Serves(dns, netbios) {
			return failed("correct secrets.serve, or the secret: "+check, "it is of the domain %s, and secrets.serve has it for %s: the agent will refuse it", c.Domain, s.Domain)
		}
	}
	if w := secrets.Warnings(c); len(w) > 0 {
		return warning("look at it: "+check, "%s of %s; %s", c.User, c.Domain, strings.Join(w, "; "))
	}
	return okay("%s of %s", c.User, c.Domain)
}
