package ccgplugin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

const dll = `C:\Program Files\gmsa-agent\ccg-plugin-1.dll`

func TestThePluginIsTheOneThatCredentialSpecsName(t *testing.T) {
	if CLSID != credspec.PluginGUID {
		t.Errorf("the class is %s and the documents say %s", CLSID, credspec.PluginGUID)
	}
}

func TestRegisterWritesWhatCOMAndCCGLookFor(t *testing.T) {
	r := newRegistry()
	if err := Register(r, dll); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for key, values := range r.keys {
		for name, v := range values {
			data := v.text()
			if v.Type == regBinary {
				d, err := readDescriptor(v.Data)
				if err != nil {
					t.Error(err)
				}
				data = "binary " + d.String()
			}
			if key != keyMarshaller {
				got[key+":"+name] = data
			}
		}
	}
	const id = "{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}"
	const access = "binary O:S-1-5-32-544D:(A;;0xb;;;S-1-5-18)(A;;0xb;;;S-1-5-6)(A;;0xb;;;S-1-5-32-544)"
	want := map[string]string{
		`SOFTWARE\Classes\CLSID\` + id + `:`:                              description,
		`SOFTWARE\Classes\CLSID\` + id + `:AppID`:                         id,
		`SOFTWARE\Classes\CLSID\` + id + `\InprocServer32:`:               dll,
		`SOFTWARE\Classes\CLSID\` + id + `\InprocServer32:ThreadingModel`: "Both",
		`SOFTWARE\Classes\AppID\` + id + `:`:                              description,
		`SOFTWARE\Classes\AppID\` + id + `:DllSurrogate`:                  "",
		`SOFTWARE\Classes\AppID\` + id + `:AccessPermission`:              access,
		`SOFTWARE\Classes\AppID\` + id + `:LaunchPermission`:              access,
		`SYSTEM\CurrentControlSet\Control\CCG\COMClasses\` + id + `:`:     "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	found, err := Compare(r, "")
	if err != nil || found.Path != dll || found.Nothing || len(found.Differences) != 0 {
		t.Errorf("compared as %+v, %v", found, err)
	}
}

func TestUnregisterRemovesExactlyWhatWasWritten(t *testing.T) {
	r := newRegistry()
	r.keys[`SYSTEM\CurrentControlSet\Control\CCG`] = map[string]Value{}
	r.keys[`SYSTEM\CurrentControlSet\Control\CCG\COMClasses`] = map[string]Value{}
	r.keys[`SYSTEM\CurrentControlSet\Control\CCG\COMClasses\{other}`] = map[string]Value{"": text("x")}
	before := r.state()
	if err := Register(r, dll); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to remove
		if err := Unregister(r); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, r.state()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestUnregisterLeavesWhatOthersAdded(t *testing.T) {
	r := newRegistry()
	if err := Register(r, dll); err != nil {
		t.Fatal(err)
	}
	r.keys[keyApp]["RunAs"] = text("nt authority\\network service")
	if err := Unregister(r); err != nil {
		t.Fatal(err)
	}
	if got := slices.Collect(maps.Keys(r.keys[keyApp])); !slices.Equal(got, []string{"RunAs"}) {
		t.Errorf("left in the AppID: %q", got)
	}
	if ok, _ := r.Exists(keyClass); ok {
		t.Error("the class is left")
	}
}

func TestAFailedRegistrationLeavesTheRegistryAsItWas(t *testing.T) {
	count := newRegistry()
	if err := Register(count, dll); err != nil {
		t.Fatal(err)
	}
	for fail := 1; fail <= count.wrote; fail++ {
		for _, earlier := range []bool{false, true} {
			r := newRegistry()
			if earlier {
				if err := Register(r, `C:\old\ccg-plugin-0.dll`); err != nil {
					t.Fatal(err)
				}
			}
			before := r.state()
			r.wrote, r.fail = 0, fail
			err := Register(r, dll)
			if err == nil {
				continue // fewer writes are needed over an earlier registration
			}
			if !errors.Is(err, errFull) || !strings.Contains(err.Error(), `HKLM\`) {
				t.Errorf("write %d: got %v", fail, err)
			}
			if diff := cmp.Diff(before, r.state()); diff != "" {
				t.Errorf("write %d, earlier=%t: %s", fail, earlier, diff)
			}
		}
	}
}

func TestARegistrationThatWasKilledIsRecognisedAndHealed(t *testing.T) {
	whole := newRegistry()
	if err := Register(whole, dll); err != nil {
		t.Fatal(err)
	}
	for kill := 1; kill <= whole.wrote; kill++ {
		r := newRegistry()
		r.killed = kill
		func() {
			defer func() {
				if p := recover(); p != errKilled {
					t.Errorf("write %d: recovered %v", kill, p)
				}
			}()
			_ = Register(r, dll)
		}()
		found, err := Compare(r, dll)
		if err != nil || len(found.Differences) == 0 {
			t.Errorf("write %d: compared as %+v, %v", kill, found, err)
		}
		if ok, _ := r.Exists(keyAllowed); ok && kill < whole.wrote {
			t.Errorf("write %d: CCG accepts half a registration", kill)
		}
		if err := Register(r, dll); err != nil {
			t.Errorf("write %d: %v", kill, err)
		}
		if diff := cmp.Diff(whole.state(), r.state()); diff != "" {
			t.Errorf("write %d: %s", kill, diff)
		}
	}
}

func TestARelativePathIsNotRegistered(t *testing.T) {
	for _, path := range []string{"", "ccg-plugin.dll", `\windows\x.dll`, `C:x.dll`, "/usr/lib/x.dll", `1:\x.dll`} {
		r := newRegistry()
		if err := Register(r, path); !errors.Is(err, fault.ErrMalformed) || r.wrote != 0 {
			t.Errorf("%q: got %v", path, err)
		}
	}
}

func TestRegisteringAgainWritesNothing(t *testing.T) {
	r := newRegistry()
	if err := Register(r, dll); err != nil {
		t.Fatal(err)
	}
	wrote := r.wrote
	done, err := Heal(r, dll)
	if err != nil || len(done) != 0 || r.wrote != wrote {
		t.Errorf("%d writes, %v, %v", r.wrote-wrote, done, err)
	}
}

func TestAPlanIsWhatIsDoneAndDoesNothing(t *testing.T) {
	r := newRegistry()
	before := r.state()
	planned, err := Plan(r, dll)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, r.state()); diff != "" {
		t.Error(diff)
	}
	done, err := Heal(r, dll)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(planned, done); diff != "" {
		t.Error(diff)
	}
	if planned, err = Unplan(r); err != nil {
		t.Fatal(err)
	}
	if done, err = Remove(r); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(planned, done); diff != "" {
		t.Error(diff)
	}
}

func TestASnapshotIsGoneBackTo(t *testing.T) {
	for name, prepare := range map[string]func(r *fakeRegistry) error{
		"nothing": func(*fakeRegistry) error { return nil },
		"another DLL, flawed": func(r *fakeRegistry) error {
			if err := Register(r, `C:\old\ccg-plugin-0.dll`); err != nil {
				return err
			}
			r.keys[keyApp]["RunAs"] = text("Interactive User")
			r.keys[keyClass+`\TreatAs`] = map[string]Value{"": text("{other}")}
			delete(r.keys[keyServer], "ThreadingModel")
			r.access[keyServer] = descriptor{owner: sidAdministrators, list: append(usual.list, access{aceAllow, 0, keyAll, "S-1-1-0"})}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry()
			if err := prepare(r); err != nil {
				t.Fatal(err)
			}
			before := r.state()
			s, err := Capture(r)
			if err != nil {
				t.Fatal(err)
			}
			for what, change := range map[string]func() error{
				"register": func() error { return Register(r, dll) }, "unregister": func() error { return Unregister(r) },
			} {
				if err := change(); err != nil {
					t.Fatal(err)
				}
				if err := s.Restore(r); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(before, r.state()); diff != "" {
					t.Errorf("after %s: %s", what, diff)
				}
			}
		})
	}
}

func TestAKeyOfTooManyKeysIsNotTakenApart(t *testing.T) {
	r := newRegistry()
	for i := range maxKeys {
		for _, k := range []string{keyClass, fmt.Sprintf(`%s\%d`, keyClass, i)} {
			r.keys[k] = map[string]Value{}
		}
	}
	before := r.state()
	if err := Register(r, dll); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, r.state()); diff != "" {
		t.Error(diff)
	}
}
