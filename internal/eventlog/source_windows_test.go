package eventlog

import "testing"

func TestTheSourceIsRegisteredOnThisHost(t *testing.T) {
	before, _, err := Inspect()
	if err != nil {
		t.Fatal(err)
	}
	if before != "" {
		t.Skipf("it is registered already, with %s", before)
	}
	undo, err := Install(newExe)
	if err != nil {
		t.Fatal(err)
	}
	defer Uninstall() //nolint:errcheck // checked below
	if messages, problems, err := Inspect(); err != nil || messages != newExe || problems != nil {
		t.Errorf("%s, %q, %v", messages, problems, err)
	}
	again, err := Install(oldExe)
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Fatal(err)
	}
	if messages, problems, err := Inspect(); err != nil || messages != newExe || problems != nil {
		t.Errorf("%s, %q, %v", messages, problems, err)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	if there, err := (localMachine{}).Read(); err != nil || there != nil {
		t.Errorf("left: %v, %v", there, err)
	}
	if err := Uninstall(); err != nil {
		t.Error(err)
	}
}

// That the log keeps an event can be seen on Windows only; the call can be made
// under Wine too.
func TestEveryEventOfTheTableIsTakenByTheLog(t *testing.T) {
	for _, e := range Table {
		if err := Report(Entry{ID: e.ID, Params: []string{"gmsa-agent's own test"}}); err != nil {
			t.Error(err)
		}
	}
}
