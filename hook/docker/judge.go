package docker

import (
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// wants is what Docker would give a container.
type wants struct {
	place *place // one that is kept; nil: none
	// Else a document that the agent does not keep.
	option option
}

// windows says whether this Docker's containers are Windows': whether dockerd
// reads the credentialspec option.
func windows(os string) bool { return strings.EqualFold(os, "windows") }

// judge finds what Docker would give the container, or why it cannot have what it
// asks for. w.mu is held.
func (w *Watch) judge(a Ask) (wants, error) {
	o, err := parseOption(a.Options)
	if err != nil {
		return wants{}, err
	}
	label, labelled := hook.Facts{Labels: a.Labels}.Ask()
	named := w.named(o)
	switch {
	case !labelled && named != nil:
		return wants{place: named}, nil
	case !labelled:
		return wants{option: o}, nil
	case o.kind == kindNone:
		p, err := w.meant(label)
		if err == nil && windows(w.os) {
			err = fmt.Errorf("the label %s is not read by Docker: run it with --security-opt credentialspec=%s as well: %w", hook.KeyCredentialSpec, p.name(), fault.ErrDenied)
		}
		return wants{place: p}, err
	}
	p, err := w.meant(label)
	if err != nil {
		return wants{}, err
	}
	if named == nil || !w.cfg.Same(named.spec.Reference, p.spec.Reference) {
		return wants{}, fmt.Errorf("the label %s names %s, and --security-opt credentialspec another credential spec; for the label's it is %s: %w", hook.KeyCredentialSpec, clip(label), p.name(), fault.ErrDenied)
	}
	return wants{place: named}, nil
}

// named is the place that an option names, if it is kept.
func (w *Watch) named(o option) *place {
	switch o.kind {
	case kindFile:
		return w.places[fileKey(o.value)]
	case kindRegistry:
		return w.places[registryKey(o.value)]
	}
	return nil
}

// meant is the place of what a label refers to: the credential spec that has that
// reference, or the place itself by the name that Docker has for it.
func (w *Watch) meant(label string) (*place, error) {
	if o, err := parseOption([]string{label}); err == nil {
		if p := w.named(o); p != nil {
			return p, nil
		}
	}
	for _, key := range sortedKeys(w.places) {
		if p := w.places[key]; w.cfg.Same(p.spec.Reference, label) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("the label %s names %s, which is none of the credential specs that the agent keeps for Docker (docker.specs in its configuration): %w", hook.KeyCredentialSpec, clip(label), fault.ErrNotFound)
}

// facts are what the agent is told of a container.
func (a Ask) facts() hook.Facts {
	f := hook.Facts{Key: hook.Key{Runtime: Runtime, ID: a.ID}, Image: a.Image, Labels: a.Labels}
	if len(a.Options) > 0 {
		f.CredentialSpec = a.Options[len(a.Options)-1]
	}
	return f
}
