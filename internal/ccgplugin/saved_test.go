package ccgplugin

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// throughText is what a later process reads of a snapshot that was written down.
func throughText(t *testing.T, s Snapshot) Snapshot {
	t.Helper()
	data, err := json.Marshal(s.Save())
	if err != nil {
		t.Fatal(err)
	}
	var saved Saved
	if err := json.Unmarshal(data, &saved); err != nil {
		t.Fatal(err)
	}
	back, err := saved.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestASnapshotThatWasWrittenDownRestoresWhatWasThere(t *testing.T) {
	for name, before := range map[string]func(r *fakeRegistry) error{
		"nothing":               func(*fakeRegistry) error { return nil },
		"an older registration": func(r *fakeRegistry) error { return Register(r, `C:\old\plugin.dll`) },
		"one with another value": func(r *fakeRegistry) error {
			return errors.Join(Register(r, `C:\old\plugin.dll`), r.Set(keyApp, "RunAs", text("somebody")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry()
			if err := before(r); err != nil {
				t.Fatal(err)
			}
			snapshot, err := Capture(r)
			if err != nil {
				t.Fatal(err)
			}
			want := r.state()
			if err := Register(r, `C:\new\plugin.dll`); err != nil {
				t.Fatal(err)
			}
			for range 2 { // what is restored once more stays
				if err := throughText(t, snapshot).Restore(r); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, r.state()); diff != "" {
					t.Errorf("the registry (-before +after):\n%s", diff)
				}
			}
		})
	}
}

func TestSavedKeysThatAreNoneOfARegistrationAreRefused(t *testing.T) {
	for name, s := range map[string]Saved{
		"a key":              {Keys: []SavedKey{{Key: `SOFTWARE\Contoso`}}},
		"the hive":           {Keys: []SavedKey{{Key: ``}}},
		"a subkey alone":     {Keys: []SavedKey{{Key: keyServer}}},
		"another to remove":  {Missing: []string{`SOFTWARE\Contoso`}},
		"the hive to remove": {Missing: []string{``}},
	} {
		if _, err := s.Snapshot(); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
