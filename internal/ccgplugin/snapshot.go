package ccgplugin

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Snapshot is what the registry holds where the registration is: keys, values
// and access lists. It is what an installer goes back to.
type Snapshot struct {
	trees   map[string]*tree // nil: there is no such key
	missing []string         // keys above that are not there either, the uppermost first
}

// tree is a key with all that is below it.
type tree struct {
	values   map[string]Value
	subkeys  map[string]*tree
	security []byte
}

// maxKeys bounds what is read below one key. The registration has two keys at
// most; a tree that is larger is somebody else's doing and not taken apart.
const maxKeys = 64

// roots are the keys that a registration writes or removes, those first whose
// absence keeps CCG and COM from using the others.
func roots() []string {
	keys := []string{keyAllowed, keyClass, keyApp}
	for _, o := range obstacles {
		if o.whole && !strings.HasPrefix(o.key, keyClass+`\`) {
			keys = append(keys, o.key)
		}
	}
	return keys
}

// Capture takes a snapshot.
func Capture(reg Registry) (Snapshot, error) {
	s := Snapshot{trees: map[string]*tree{}}
	for _, key := range roots() {
		left := maxKeys
		t, err := capture(reg, key, &left)
		if err != nil {
			return Snapshot{}, fmt.Errorf(`HKLM\%s: %w`, key, err)
		}
		s.trees[key] = t
		for _, above := range ancestors(key) {
			exists, err := reg.Exists(above)
			if err != nil {
				return Snapshot{}, fmt.Errorf(`HKLM\%s: %w`, above, err)
			}
			if !exists && !slices.Contains(s.missing, above) {
				s.missing = append(s.missing, above)
			}
		}
	}
	return s, nil
}

func capture(reg Registry, key string, left *int) (*tree, error) {
	exists, err := reg.Exists(key)
	if err != nil || !exists {
		return nil, err
	}
	if *left--; *left < 0 {
		return nil, fmt.Errorf("%w: it has more than %d keys", fault.ErrMalformed, maxKeys)
	}
	t := &tree{values: map[string]Value{}, subkeys: map[string]*tree{}}
	if t.security, err = reg.Security(key); err != nil {
		return nil, err
	}
	names, subkeys, err := reg.List(key)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		v, found, err := reg.Get(key, name)
		if err != nil {
			return nil, err
		}
		if found {
			t.values[name] = v
		}
	}
	for _, name := range subkeys {
		if t.subkeys[name], err = capture(reg, key+`\`+name, left); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Restore makes the registry what it was, writing only what differs. It goes
// on after an error and returns all of them.
func (s Snapshot) Restore(reg Registry) error {
	var errs []error
	// CCG's acceptance goes before what is taken away and comes after what is
	// given back.
	keys := roots()
	put := func(key string) {
		if err := restore(reg, key, s.trees[key]); err != nil {
			errs = append(errs, fmt.Errorf(`HKLM\%s: %w`, key, err))
		}
	}
	for _, key := range keys {
		if s.trees[key] == nil {
			put(key)
		}
	}
	for _, key := range slices.Backward(keys) {
		if s.trees[key] != nil {
			put(key)
		}
	}
	for _, key := range slices.Backward(s.missing) {
		if err := reg.RemoveEmpty(key); err != nil {
			errs = append(errs, fmt.Errorf(`HKLM\%s: %w`, key, err))
		}
	}
	return errors.Join(errs...)
}

func restore(reg Registry, key string, t *tree) error {
	if t == nil {
		return removeTree(reg, key)
	}
	if err := createAll(reg, key); err != nil {
		return err
	}
	left := maxKeys
	now, err := capture(reg, key, &left)
	if err != nil {
		return err
	}
	var errs []error
	for name, v := range t.values {
		if got, ok := now.values[name]; !ok || got.Type != v.Type || !bytes.Equal(got.Data, v.Data) {
			errs = append(errs, reg.Set(key, name, v))
		}
	}
	for name := range now.values {
		if _, ok := t.values[name]; !ok {
			errs = append(errs, reg.Unset(key, name))
		}
	}
	for name := range now.subkeys {
		if t.subkeys[name] == nil {
			errs = append(errs, removeTree(reg, key+`\`+name))
		}
	}
	for name, sub := range t.subkeys {
		errs = append(errs, restore(reg, key+`\`+name, sub))
	}
	if !sameSecurity(now.security, t.security) {
		errs = append(errs, reg.SetSecurity(key, t.security))
	}
	return errors.Join(errs...)
}

func sameSecurity(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	da, errA := readDescriptor(a)
	db, errB := readDescriptor(b)
	return errA == nil && errB == nil && da.sameAccess(db)
}

// removeTree removes a key with all that is in it; none is as good.
func removeTree(reg Registry, key string) error {
	left := maxKeys
	t, err := capture(reg, key, &left)
	if err != nil || t == nil {
		return err
	}
	return removeCaptured(reg, key, t)
}

func removeCaptured(reg Registry, key string, t *tree) error {
	for name, sub := range t.subkeys {
		if err := removeCaptured(reg, key+`\`+name, sub); err != nil {
			return err
		}
	}
	for name := range t.values {
		if err := reg.Unset(key, name); err != nil {
			return err
		}
	}
	return reg.RemoveEmpty(key)
}

// createAll makes a key and what is missing above it.
func createAll(reg Registry, key string) error {
	for _, k := range append(ancestors(key), key) {
		exists, err := reg.Exists(k)
		if err == nil && !exists {
			err = reg.Create(k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ancestors are the keys above a key, the uppermost first.
func ancestors(key string) []string {
	var above []string
	for i, c := range key {
		if c == '\\' {
			above = append(above, key[:i])
		}
	}
	return above
}
