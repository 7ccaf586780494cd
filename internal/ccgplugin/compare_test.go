package ccgplugin

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A breakage is one way in which a registration is not as it should be.
type breakage struct {
	name         string
	do           func(r *fakeRegistry)
	place, value string // where it is told
	says         string // what the problem says
}

// breakages are made from the contract, so that what is added to it is broken
// here too.
func breakages() []breakage {
	var all []breakage
	for _, e := range entries(dll) {
		at := e.key + ":" + valueName(e.name)
		all = append(all,
			breakage{at + " deleted", func(r *fakeRegistry) { delete(r.keys[e.key], e.name) }, place(e.key), valueName(e.name), "is missing"},
			breakage{at + " of another type", func(r *fakeRegistry) { r.keys[e.key][e.name] = Value{4, []byte{1, 0, 0, 0}} }, place(e.key), valueName(e.name), "is REG_DWORD, not "},
			breakage{at + " changed", func(r *fakeRegistry) {
				v := Value{e.value.Type, []byte("x\x00y\x00\x00\x00")}
				r.keys[e.key][e.name] = v
			}, place(e.key), valueName(e.name), "is "},
			breakage{e.key + " deleted", func(r *fakeRegistry) {
				for key := range r.keys {
					if key == e.key || strings.HasPrefix(key, e.key+`\`) {
						delete(r.keys, key)
					}
				}
			}, place(e.key), "", "the key is missing"},
			breakage{e.key + " open to everyone", func(r *fakeRegistry) {
				r.access[e.key] = descriptor{owner: sidAdministrators, list: append([]access{{aceAllow, 0, keyAll, "S-1-1-0"}}, usual.list...)}
			}, place(e.key), "", "can be changed by Everyone (S-1-1-0)"},
			breakage{e.key + " of a user", func(r *fakeRegistry) {
				r.access[e.key] = descriptor{owner: "S-1-5-21-1-2-3-1104", list: usual.list}
			}, place(e.key), "", "can be changed by S-1-5-21-1-2-3-1104 (its owner)"},
			breakage{e.key + " without an access list", func(r *fakeRegistry) {
				r.access[e.key] = descriptor{owner: sidAdministrators, list: []access{{aceAllow, 0, 0x40000000, "S-1-5-11"}}}
			}, place(e.key), "", "can be changed by Authenticated Users"},
			breakage{e.key + " left open by a registration that was killed", func(r *fakeRegistry) {
				k := fakeKeeper{r, nil}
				_ = k.note(e.key, usual.bytes())
				_ = k.setOwner(e.key)
				r.access[e.key] = descriptor{owner: sidAdministrators, list: append([]access{{aceAllow, 0, keyAll, sidAdministrators}}, usual.list...)}
			}, place(e.key), "", "has the owner and the access list of a registration that was broken off"},
		)
		if e.value.Type == regBinary {
			for name, list := range map[string][]access{
				"too few":  callers.list[1:],
				"too many": append([]access{{aceAllow, 0, callRights, "S-1-1-0"}}, callers.list...),
				"denying":  append([]access{{aceDeny, 0, callRights, sidService}}, callers.list...),
			} {
				all = append(all, breakage{at + " allowing " + name, func(r *fakeRegistry) {
					r.keys[e.key][e.name] = Value{regBinary, descriptor{owner: sidAdministrators, list: list}.bytes()}
				}, place(e.key), valueName(e.name), "S-1-"})
			}
		}
	}
	for _, o := range obstacles {
		if o.whole {
			all = append(all, breakage{o.key + " there", func(r *fakeRegistry) {
				for _, k := range append(ancestors(o.key), o.key, o.key+`\InprocServer32`) {
					if r.keys[k] == nil {
						r.keys[k] = map[string]Value{}
					}
				}
				r.keys[o.key][""] = text("x")
			}, place(o.key), "", "the key must not be there: " + o.why})
			continue
		}
		all = append(all, breakage{o.key + ":" + o.name + " there", func(r *fakeRegistry) { r.keys[o.key][o.name] = text("Interactive User") },
			place(o.key), o.name, `is "Interactive User" and must not be there: ` + o.why})
	}
	return all
}

func TestEveryBrokenKeyAndValueIsNamedAndHealed(t *testing.T) {
	for _, b := range breakages() {
		t.Run(b.name, func(t *testing.T) {
			r := newRegistry()
			if err := Register(r, dll); err != nil {
				t.Fatal(err)
			}
			whole := r.state()
			b.do(r)
			found, err := Compare(r, dll)
			if err != nil {
				t.Fatal(err)
			}
			var named bool
			for _, d := range found.Differences {
				if d.Effect == "" {
					t.Errorf("%s: %s: %s: without an effect", d.Place, d.Value, d.Problem)
				}
				named = named || d.Place == b.place && d.Value == b.value && strings.Contains(d.Problem, b.says)
			}
			if !named {
				t.Errorf("not named: %+v", found.Differences)
			}
			if done, err := Heal(r, dll); err != nil || len(done) == 0 {
				t.Errorf("healed by %v, %v", done, err)
			}
			if after, err := Compare(r, dll); err != nil || len(after.Differences) != 0 {
				t.Errorf("after healing: %+v, %v", after.Differences, err)
			}
			// What was opened is closed, though not always by the list that was
			// there before; all else is as it was.
			got := r.state()
			for key := range r.access {
				got[key] = ""
			}
			for _, parent := range []string{`SYSTEM\CurrentControlSet\CCG\COMClasses`, `SYSTEM\CurrentControlSet\CCG`} {
				delete(got, parent) // somebody else's, and empty
			}
			if diff := cmp.Diff(whole, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestADamagedRegistrationCanBeUnregistered(t *testing.T) {
	for _, b := range breakages() {
		r := newRegistry()
		if err := Register(r, dll); err != nil {
			t.Fatal(err)
		}
		b.do(r)
		if err := Unregister(r); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
		if _, found, _ := r.Get(keyAllowed, ""); found {
			t.Errorf("%s: CCG still accepts the class", b.name)
		}
		if notes, _, _ := r.List(keyOwnership); len(notes) != 0 {
			t.Errorf("%s: notes are left: %q", b.name, notes)
		}
	}
}

func TestWithoutARegistrationEveryKeyIsNamedOnce(t *testing.T) {
	found, err := Compare(newRegistry(), "")
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, d := range found.Differences {
		if d.Problem != "the key is missing" || d.Severity != Broken {
			t.Errorf("got %+v", d)
		}
		places = append(places, d.Place)
	}
	if diff := cmp.Diff([]string{place(keyApp), place(keyClass), place(keyServer), place(keyAllowed)}, places); diff != "" || !found.Nothing || !found.Broken() || found.Path != "" {
		t.Errorf("%+v: %s", found, diff)
	}
}

func TestWindowsOwnPartIsNamedAndLeftAlone(t *testing.T) {
	r := newRegistry()
	delete(r.keys, keyMarshaller)
	if err := Register(r, dll); err != nil {
		t.Fatal(err)
	}
	found, err := Compare(r, dll)
	if err != nil || len(found.Differences) != 1 || found.Differences[0].Place != place(keyMarshaller) || found.Differences[0].Remedy == "" {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestACosmeticDifferenceDoesNotBreakTheRegistration(t *testing.T) {
	r := newRegistry()
	if err := Register(r, dll); err != nil {
		t.Fatal(err)
	}
	r.keys[keyApp][""] = text("something else")
	found, err := Compare(r, dll)
	if err != nil || found.Broken() || len(found.Differences) != 1 {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestAForeignNoteIsNotObeyed(t *testing.T) {
	for name, note := range map[string]Value{
		`SYSTEM\CurrentControlSet\Services`: {regBinary, usual.bytes()}, // no key of ours
		keyAllowed:                          {regBinary, []byte("no descriptor")},
		keyClass:                            text("x"),
	} {
		r := newRegistry()
		if err := Register(r, dll); err != nil {
			t.Fatal(err)
		}
		r.keys[keyProduct], r.keys[keyOwnership] = map[string]Value{}, map[string]Value{name: note}
		r.keys[`SYSTEM\CurrentControlSet\Services`] = map[string]Value{}
		before := r.state()
		if done, err := Heal(r, dll); err != nil || len(done) != 0 {
			t.Errorf("%s: healed by %v, %v", name, done, err)
		}
		if diff := cmp.Diff(before, r.state()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		found, err := Compare(r, dll)
		if err != nil || len(found.Differences) != 1 || found.Differences[0].Remedy == "" || found.Broken() {
			t.Errorf("%s: got %+v, %v", name, found, err)
		}
	}
}
