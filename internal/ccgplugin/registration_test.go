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

// fakeRegistry has the keys that Windows has by itself.
type fakeRegistry struct {
	keys  map[string]map[string]Value
	fail  int // the write that fails, from 1
	wrote int
}

var errFull = errors.New("the disk is full")

func newRegistry() *fakeRegistry {
	return &fakeRegistry{keys: map[string]map[string]Value{
		`SOFTWARE`: {}, `SOFTWARE\Classes`: {}, `SOFTWARE\Classes\CLSID`: {}, `SOFTWARE\Classes\AppID`: {},
		`SYSTEM`: {}, `SYSTEM\CurrentControlSet`: {}, `SYSTEM\CurrentControlSet\Control`: {},
	}}
}

func (r *fakeRegistry) write() error {
	if r.wrote++; r.wrote == r.fail {
		return errFull
	}
	return nil
}

func (r *fakeRegistry) Exists(key string) (bool, error) {
	_, ok := r.keys[key]
	return ok, nil
}

func (r *fakeRegistry) Create(key string) error {
	if err := r.write(); err != nil {
		return err
	}
	if _, ok := r.keys[key[:strings.LastIndexByte(key, '\\')]]; !ok {
		return fmt.Errorf("%s has no parent", key)
	}
	if r.keys[key] == nil {
		r.keys[key] = map[string]Value{}
	}
	return nil
}

func (r *fakeRegistry) Get(key, name string) (Value, bool, error) {
	v, ok := r.keys[key][name]
	return v, ok, nil
}

func (r *fakeRegistry) Set(key, name string, v Value) error {
	if err := r.write(); err != nil {
		return err
	}
	r.keys[key][name] = v
	return nil
}

func (r *fakeRegistry) Unset(key, name string) error {
	delete(r.keys[key], name)
	return nil
}

func (r *fakeRegistry) RemoveEmpty(key string) error {
	for other := range r.keys {
		if strings.HasPrefix(other, key+`\`) {
			return nil
		}
	}
	if len(r.keys[key]) == 0 {
		delete(r.keys, key)
	}
	return nil
}

func (r *fakeRegistry) Descriptor(sddl string) ([]byte, error) { return []byte(sddl), nil }

func (r *fakeRegistry) snapshot() map[string]map[string]Value {
	s := map[string]map[string]Value{}
	for key, values := range r.keys {
		s[key] = maps.Clone(values)
	}
	return s
}

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
				data = "binary " + string(v.Data)
			}
			got[key+":"+name] = data
		}
	}
	const id = "{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}"
	const access = "binary O:BAG:BAD:(A;;0xb;;;SY)(A;;0xb;;;SU)(A;;0xb;;;BA)"
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
	found, err := Inspect(r)
	if err != nil || found.Path != dll || len(found.Problems) != 0 {
		t.Errorf("inspected as %+v, %v", found, err)
	}
}

func TestUnregisterRemovesExactlyWhatWasWritten(t *testing.T) {
	r := newRegistry()
	r.keys[`SYSTEM\CurrentControlSet\Control\CCG`] = map[string]Value{}
	r.keys[`SYSTEM\CurrentControlSet\Control\CCG\COMClasses`] = map[string]Value{}
	r.keys[`SYSTEM\CurrentControlSet\Control\CCG\COMClasses\{other}`] = map[string]Value{"": text("x")}
	before := r.snapshot()
	if err := Register(r, dll); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to remove
		if err := Unregister(r); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, r.keys); diff != "" {
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
			before := r.snapshot()
			r.wrote, r.fail = 0, fail
			err := Register(r, dll)
			if r.wrote < fail {
				continue // fewer writes are needed over an earlier registration
			}
			if !errors.Is(err, errFull) || !strings.Contains(err.Error(), `HKLM\`) {
				t.Errorf("write %d: got %v", fail, err)
			}
			if diff := cmp.Diff(before, r.keys); diff != "" {
				t.Errorf("write %d, earlier=%t: %s", fail, earlier, diff)
			}
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

func TestInspectNamesWhatIsMissingOrOther(t *testing.T) {
	r := newRegistry()
	if found, err := Inspect(r); err != nil || found.Path != "" || len(found.Problems) != 9 {
		t.Errorf("unregistered: got %+v, %v", found, err)
	}
	if err := Register(r, dll); err != nil {
		t.Fatal(err)
	}
	delete(r.keys[keyAllowed], "")
	r.keys[keyServer]["ThreadingModel"] = text("Apartment")
	found, err := Inspect(r)
	if err != nil || len(found.Problems) != 2 || found.Path != dll {
		t.Fatalf("got %+v, %v", found, err)
	}
	for i, says := range []string{"ThreadingModel is not what", `COMClasses\{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}: the default value is missing`} {
		if !strings.Contains(found.Problems[i], says) {
			t.Errorf("got %q, want it to say %q", found.Problems[i], says)
		}
	}
}
