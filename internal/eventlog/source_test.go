package eventlog

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// fakeKeys is the source's registry key in memory; nil values: there is none.
type fakeKeys struct {
	values map[string]value
	fail   int // the value that cannot be written, from 1
}

var errFull = errors.New("the disk is full")

func (k *fakeKeys) Read() (map[string]value, error) { return maps.Clone(k.values), nil }

func (k *fakeKeys) Write(list []value) error {
	if k.values == nil {
		k.values = map[string]value{}
	}
	for _, v := range list {
		if k.fail--; k.fail == 0 {
			return errFull
		}
		k.values[v.name] = v
	}
	return nil
}

func (k *fakeKeys) Unset(names []string) error {
	for _, name := range names {
		delete(k.values, name)
	}
	return nil
}

func (k *fakeKeys) Remove() error {
	if len(k.values) == 0 {
		k.values = nil
	}
	return nil
}

var same = cmp.AllowUnexported(value{})

const (
	oldExe = `C:\Program Files\gmsa-agent\1.0\gmsa-agent.exe`
	newExe = `C:\Program Files\gmsa-agent\1.1\gmsa-agent.exe`
)

func TestTheSourceIsRegisteredAndTakenBack(t *testing.T) {
	k := &fakeKeys{}
	if _, err := install(k, newExe); err != nil {
		t.Fatal(err)
	}
	want := map[string]value{
		"EventMessageFile":    {name: "EventMessageFile", text: newExe},
		"CategoryMessageFile": {name: "CategoryMessageFile", text: newExe},
		"CategoryCount":       {name: "CategoryCount", number: uint32(len(Categories))},
		"TypesSupported":      {name: "TypesSupported", number: 7},
	}
	if diff := cmp.Diff(want, k.values, same); diff != "" {
		t.Error(diff)
	}
	if messages, problems, err := inspect(k); err != nil || messages != newExe || problems != nil {
		t.Errorf("%s, %q, %v", messages, problems, err)
	}
	for range 2 { // the second time there is nothing to remove
		if err := uninstall(k); err != nil || k.values != nil {
			t.Errorf("%v, %v", k.values, err)
		}
	}
}

func TestUndoBringsBackWhatWasThere(t *testing.T) {
	for name, before := range map[string]map[string]value{
		"nothing":        nil,
		"another's":      {"Sources": {name: "Sources", text: "x"}},
		"an older one":   {"EventMessageFile": {name: "EventMessageFile", text: oldExe}, "TypesSupported": {name: "TypesSupported", number: 7}},
		"a half one":     {"CategoryCount": {name: "CategoryCount", number: 1}},
		"an emptied one": {},
	} {
		k := &fakeKeys{values: maps.Clone(before)}
		undo, err := install(k, newExe)
		if err != nil {
			t.Fatal(err)
		}
		if err := undo(); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(before, k.values, same); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		for fail := 1; fail <= len(values("")); fail++ {
			k := &fakeKeys{values: maps.Clone(before), fail: fail}
			if _, err := install(k, newExe); !errors.Is(err, errFull) || !strings.Contains(err.Error(), `HKLM\SYSTEM`) {
				t.Errorf("%s, write %d: %v", name, fail, err)
			}
			if diff := cmp.Diff(before, k.values, same); diff != "" {
				t.Errorf("%s, write %d: %s", name, fail, diff)
			}
		}
	}
}

func TestUninstallLeavesWhatOthersAdded(t *testing.T) {
	k := &fakeKeys{values: map[string]value{"CustomSD": {name: "CustomSD", text: "x"}}}
	if _, err := install(k, newExe); err != nil {
		t.Fatal(err)
	}
	if err := uninstall(k); err != nil || len(k.values) != 1 {
		t.Errorf("%v, %v", k.values, err)
	}
}

func TestInspectNamesWhatIsMissingOrOther(t *testing.T) {
	k := &fakeKeys{}
	if _, problems, err := inspect(k); err != nil || len(problems) != len(values("")) {
		t.Errorf("%q, %v", problems, err)
	}
	if _, err := install(k, newExe); err != nil {
		t.Fatal(err)
	}
	k.values["CategoryMessageFile"] = value{name: "CategoryMessageFile", text: oldExe}
	delete(k.values, "TypesSupported")
	_, problems, err := inspect(k)
	if err != nil || len(problems) != 2 || !strings.Contains(problems[0], "CategoryMessageFile is not") || !strings.Contains(problems[1], "TypesSupported is missing") {
		t.Errorf("%q, %v", problems, err)
	}
}

func TestARelativePathIsNotRegistered(t *testing.T) {
	for _, path := range []string{"", "gmsa-agent.exe", `\windows\x.exe`, `C:x.exe`, "/usr/bin/gmsa-agent"} {
		if _, err := install(&fakeKeys{}, path); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%q: got %v", path, err)
		}
	}
}
