package ccgplugin

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fakeKeeper keeps the keys of a fake registry, and fails where it is told to.
type fakeKeeper struct {
	r    *fakeRegistry
	fail map[string]error // by what is done
}

func (k fakeKeeper) security(key string) ([]byte, bool, error) {
	sd, err := k.r.Security(key)
	return sd, sd != nil, errors.Join(err, k.fail["security"])
}

func (k fakeKeeper) setSecurity(key string, sd []byte) error {
	if err, ok := k.fail["setSecurity"]; ok {
		return err // nil: it says that it was done, and was not
	}
	if k.r.keys[key] == nil {
		return errors.New("no such key")
	}
	return k.r.SetSecurity(key, sd)
}

func (k fakeKeeper) setOwner(key string) error {
	if err := k.fail["setOwner"]; err != nil {
		return err
	}
	d := k.r.descriptorOf(key)
	d.owner = sidAdministrators
	k.r.access[key] = d
	return nil
}

func (k fakeKeeper) setList(key string, sd []byte) error {
	if err := k.fail["setList"]; err != nil {
		return err
	}
	d, err := readDescriptor(sd)
	d.owner = k.r.descriptorOf(key).owner
	k.r.access[key] = d
	return err
}

func (k fakeKeeper) note(key string, sd []byte) error {
	if err := k.fail["note"]; err != nil {
		return err
	}
	return errors.Join(createAll(k.r, keyOwnership), k.r.Set(keyOwnership, key, Value{regBinary, sd}))
}

func (k fakeKeeper) forget(key string) error { return forget(k.r, key) }

func (r *fakeRegistry) descriptorOf(key string) descriptor {
	if d, ok := r.access[key]; ok {
		return d
	}
	return usual
}

// windowsOwn is the access list by which Windows guards the key of CCG's plugins.
var windowsOwn = descriptor{owner: sidTrustedInstaller, protected: true, list: []access{
	{aceAllow, 0x2, keyAll, sidSystem}, {aceAllow, 0x2, keyRead, sidAdministrators},
}}

const guarded = `SYSTEM\CurrentControlSet\Control`

func guardedRegistry() *fakeRegistry {
	r := newRegistry()
	r.access[guarded] = windowsOwn
	return r
}

func TestOwnerAndAccessListAreGivenBackWhateverHappens(t *testing.T) {
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		fail map[string]error
		f    func() error
		want error
	}{
		"it succeeds":              {},
		"it fails":                 {f: func() error { return failed }, want: failed},
		"it panics":                {f: func() error { panic(failed) }, want: failed},
		"the owner cannot be set":  {fail: map[string]error{"setOwner": failed}, want: failed},
		"the list cannot be set":   {fail: map[string]error{"setList": failed}, want: failed},
		"the list cannot be noted": {fail: map[string]error{"note": failed}, want: failed},
		"the list cannot be read":  {fail: map[string]error{"security": failed}, want: failed},
	} {
		t.Run(name, func(t *testing.T) {
			r := guardedRegistry()
			before := r.state()
			var open bool
			err := func() (err error) {
				defer func() {
					if p := recover(); p != nil {
						err = p.(error)
					}
				}()
				return asOwner(fakeKeeper{r, c.fail}, guarded, func() error {
					d := r.descriptorOf(guarded)
					open = d.owner == sidAdministrators && d.list[0] == access{aceAllow, 0, keyAll, sidAdministrators}
					if c.f != nil {
						return c.f()
					}
					return nil
				})
			}()
			if !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			if open != (c.fail == nil) {
				t.Errorf("was the key ours: %t", open)
			}
			if diff := cmp.Diff(before, r.state()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAKeyThatWasDeletedIsNotGivenBack(t *testing.T) {
	r := guardedRegistry()
	err := asOwner(fakeKeeper{r: r}, guarded, func() error { return r.RemoveEmpty(guarded) })
	if notes, _, _ := r.List(keyOwnership); err != nil || len(notes) != 0 {
		t.Errorf("got %v, notes %q", err, notes)
	}
}

func TestWhatWasNotGivenBackIsToldAndRemembered(t *testing.T) {
	for name, fail := range map[string]error{"refused": errors.New("refused"), "not done": nil} {
		r := guardedRegistry()
		err := asOwner(fakeKeeper{r, map[string]error{"setSecurity": fail}}, guarded, func() error { return nil })
		if err == nil || !strings.Contains(err.Error(), "give back its owner and access list") {
			t.Errorf("%s: got %v", name, err)
		}
		// The next registration gives it back.
		found, err := Compare(r, dll)
		if err != nil || found.Differences[0].Place != place(guarded) || !strings.Contains(found.Differences[0].Problem, "broken off") {
			t.Errorf("%s: compared as %+v, %v", name, found, err)
		}
		if err := Register(r, dll); err != nil {
			t.Fatal(err)
		}
		if got := r.descriptorOf(guarded); !got.sameAccess(windowsOwn) {
			t.Errorf("%s: the key has %s", name, got)
		}
		if ok, _ := r.Exists(keyProduct); ok {
			t.Errorf("%s: the note is left", name)
		}
	}
}
