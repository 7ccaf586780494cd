package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Create answers the gate: may a container that asks so be created? What it is
// admitted with is decided when it is started.
func (w *Watch) Create(ctx context.Context, a Ask) error {
	want, err := w.wanted(a)
	switch {
	case err != nil:
		return w.agent.Refuse(a.facts(), err)
	case want.place != nil:
		return w.agent.Check(ctx, a.facts(), want.place.shared())
	case want.option.kind == kindNone:
		return nil
	}
	return w.take(ctx, a, want.option, true)
}

// Start answers the gate: it makes what Docker is about to read be what its source
// says now, and admits the container to it. Why goes to the audit.
func (w *Watch) Start(ctx context.Context, a Ask, why string) error {
	return w.admit(ctx, a, why, func(m *member) { m.starting = time.Now() })
}

func (w *Watch) wanted(a Ask) (wants, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.judge(a)
}

func (w *Watch) admit(ctx context.Context, a Ask, why string, f func(*member)) error {
	want, err := w.wanted(a)
	switch {
	case err != nil:
		return w.agent.Refuse(a.facts(), err)
	case want.place == nil && want.option.kind == kindNone:
		return nil
	case want.place == nil:
		return w.take(ctx, a, want.option, false)
	}
	facts, p := a.facts(), want.place
	// Before it is admitted: a container that dies meanwhile must be known for one
	// that is being started.
	w.mu.Lock()
	m, known := w.members[a.ID]
	if !known {
		m = &member{facts: facts, place: p}
	}
	m.facts, m.place = facts, p
	was := m.starting
	f(m)
	w.members[a.ID] = m
	w.mu.Unlock()
	err = w.refresh(ctx, p, &facts, why)
	w.mu.Lock()
	if err == nil {
		f(m) // Docker reads from now on
		m.joined = true
		w.mu.Unlock()
		return nil
	}
	if m.starting = was; !known {
		delete(w.members, a.ID)
	}
	w.mu.Unlock()
	if errors.Is(err, fault.ErrUnavailable) || errors.Is(err, fault.ErrDenied) || errors.Is(err, fault.ErrMalformed) || errors.Is(err, fault.ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %w", fault.ErrUnavailable, err)
}

// take admits a container to a document that the agent does not keep, as Docker
// would read it.
func (w *Watch) take(ctx context.Context, a Ask, o option, dry bool) error {
	w.mu.Lock()
	os, root := w.os, w.root
	w.mu.Unlock()
	if !windows(os) {
		return nil // Docker refuses the option in its own words
	}
	place := Runtime + " --security-opt credentialspec=raw://…"
	document := []byte(o.value)
	var err error
	switch o.kind {
	case kindFile:
		place = Runtime + " file://" + o.value
		if root == "" {
			err = errNoRoot
			break
		}
		document, err = folderOf(root).read(o.value)
	case kindRegistry:
		place = Runtime + " registry://" + o.value
		document, err = registryTarget{}.read(o.value)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is none of the credential specs that the agent keeps for Docker (docker.specs in its configuration), and is not there: %w", place, fault.ErrNotFound)
	}
	if err != nil {
		return w.agent.Refuse(a.facts(), err)
	}
	return w.agent.Take(ctx, a.facts(), place, document, dry)
}

// Finished takes the gate's word for what became of a request.
func (w *Watch) Finished(ctx context.Context, f Finished) error {
	if f.Create != nil {
		if f.Status != http.StatusCreated {
			return nil
		}
		a := *f.Create
		a.ID = f.ID
		return w.agent.Created(a.facts())
	}
	if f.Unasked != nil {
		if w.agent.Holds(key(f.ID)) {
			return nil
		}
		return w.agent.Lost(ctx, key(f.ID), "its name was another container's when the gate looked at it, and it was started without a question")
	}
	w.mu.Lock()
	m := w.members[f.ID]
	failed := m != nil && f.Status >= http.StatusBadRequest
	if m != nil && (failed || f.Status == http.StatusNotModified) {
		m.starting = time.Time{}
	}
	w.mu.Unlock()
	if failed {
		w.settleBy(ctx, f.ID)
	}
	return nil
}
