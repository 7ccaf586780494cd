package ccgplugin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Saved is a [Snapshot] as it can be written down, for a later process to go
// back to.
type Saved struct {
	Keys    []SavedKey // parents before their subkeys
	Missing []string   // keys above that were not there, the uppermost first
}

// SavedKey is one key.
type SavedKey struct {
	Key      string
	Security []byte
	Values   map[string]Value
}

// Save writes the snapshot down.
func (s Snapshot) Save() Saved {
	saved := Saved{Missing: slices.Clone(s.missing)}
	var add func(key string, t *tree)
	add = func(key string, t *tree) {
		saved.Keys = append(saved.Keys, SavedKey{key, t.security, maps.Clone(t.values)})
		for _, name := range slices.Sorted(maps.Keys(t.subkeys)) {
			add(key+`\`+name, t.subkeys[name])
		}
	}
	for _, key := range roots() {
		if t := s.trees[key]; t != nil {
			add(key, t)
		}
	}
	return saved
}

// Snapshot reads what Save wrote. A key that is none of a registration's is an
// error that wraps [fault.ErrMalformed]: nothing else is ever written or removed.
func (s Saved) Snapshot() (Snapshot, error) {
	snapshot := Snapshot{trees: map[string]*tree{}}
	all := map[string]*tree{}
	for _, k := range s.Keys {
		t := &tree{values: k.Values, subkeys: map[string]*tree{}, security: k.Security}
		if t.values == nil {
			t.values = map[string]Value{}
		}
		at := strings.LastIndexByte(k.Key, '\\')
		switch parent := all[k.Key[:max(at, 0)]]; {
		case slices.Contains(roots(), k.Key):
			snapshot.trees[k.Key] = t
		case parent != nil:
			parent.subkeys[k.Key[at+1:]] = t
		default:
			return Snapshot{}, fmt.Errorf(`saved registration: %w: HKLM\%s is no key of a registration`, fault.ErrMalformed, k.Key)
		}
		all[k.Key] = t
	}
	for _, key := range s.Missing {
		above := slices.ContainsFunc(roots(), func(root string) bool { return strings.HasPrefix(root, key+`\`) })
		if !above || key == "" {
			return Snapshot{}, fmt.Errorf(`saved registration: %w: HKLM\%s is not above a key of a registration`, fault.ErrMalformed, key)
		}
		snapshot.missing = append(snapshot.missing, key)
	}
	return snapshot, nil
}
