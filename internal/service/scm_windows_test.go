package service

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// envService has this program be a service instead of its tests, and says how it
// behaves.
const envService = "GMSA_AGENT_TEST_SERVICE"

// The service's program is this one; what it is told stands in its arguments, as
// a service has no environment of ours.
func TestMain(m *testing.M) {
	if i := slices.Index(os.Args, envService); i > 0 && i+1 < len(os.Args) {
		err := Run(func(ctx context.Context, ready func()) error {
			if os.Args[i+1] == "ends" {
				return &ConfigError{errors.New("a configuration that is not valid")}
			}
			ready()
			<-ctx.Done()
			return nil
		})
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// testService is a service of this test's program, which is gone after the test.
func testService(t *testing.T, behaves string) Definition {
	t.Helper()
	if !windows.GetCurrentProcessToken().IsElevated() {
		t.Skip("services are for administrators; run the tests as one")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := Definition{
		Name: "gmsa-agent-test-" + random(), DisplayName: "gmsa-agent's test", Description: "of a test",
		Program: self, Args: []string{"two words", envService, behaves}, Delayed: true,
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(SCM{}.Stop(ctx, d.Name), SCM{}.Restore(d.Name, nil)); err != nil {
			t.Error(err)
		}
	})
	return d
}

func define(t *testing.T, d Definition) {
	t.Helper()
	warnings, err := SCM{}.Define(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Log(w)
	}
}

func TestAServiceIsMadeStartedStoppedAndRemoved(t *testing.T) {
	d := testService(t, "ready")
	if found, err := (SCM{}).Look(d.Name); err != nil || found.State != Absent || found.Saved != nil {
		t.Fatalf("%+v, %v", found, err)
	}
	define(t, d)
	if differences, err := (SCM{}).Differences(d); err != nil || len(differences) > 0 {
		t.Errorf("%q, %v", differences, err)
	}
	if err := (SCM{}).Start(t.Context(), d.Name); err != nil {
		t.Fatal(err)
	}
	found, err := SCM{}.Look(d.Name)
	if err != nil || found.State != Running || !strings.Contains(found.Program, `"two words"`) {
		t.Errorf("%+v, %v", found, err)
	}
	t.Logf("its process is %d", found.PID)
	if err := (SCM{}).Stop(t.Context(), d.Name); err != nil {
		t.Fatal(err)
	}
	if found, err := (SCM{}).Look(d.Name); err != nil || found.State != Stopped || found.Ended != "" {
		t.Errorf("%+v, %v", found, err)
	}
	if err := errors.Join(SCM{}.Restore(d.Name, nil), SCM{}.Restore(d.Name, nil)); err != nil {
		t.Fatal(err)
	}
	if found, err := (SCM{}).Look(d.Name); err != nil || found.State != Absent {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestAServiceThatEndsAtOnceSaysWithWhich(t *testing.T) {
	d := testService(t, "ends")
	define(t, d)
	err := SCM{}.Start(t.Context(), d.Name)
	ended, ok := errors.AsType[*EndedError](err)
	if !ok || !strings.Contains(ended.How, "exit code 2") {
		t.Errorf("error %v", err)
	}
}

func TestAChangedServiceIsBroughtBack(t *testing.T) {
	d := testService(t, "ready")
	define(t, d)
	before, err := SCM{}.Look(d.Name)
	if err != nil {
		t.Fatal(err)
	}
	other := d
	other.DisplayName, other.Args = "another", []string{"run"}
	define(t, other)
	differences, err := SCM{}.Differences(d)
	if err != nil || len(differences) != 2 {
		t.Errorf("%q, %v", differences, err)
	}
	if err := (SCM{}).Restore(d.Name, before.Saved); err != nil {
		t.Fatal(err)
	}
	after, err := SCM{}.Look(d.Name)
	if err != nil || string(after.Saved) != string(before.Saved) {
		t.Errorf("before %s, after %s, %v", before.Saved, after.Saved, err)
	}
	if err := (SCM{}).Restore(d.Name, json.RawMessage(`[]`)); err == nil {
		t.Error("what is no configuration was taken for one")
	}
}

func TestAProgramThatRunsIsReplaced(t *testing.T) {
	d := testService(t, "ready")
	dir := t.TempDir()
	program := filepath.Join(dir, "program.exe")
	sum, err := digestOf(d.Program)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := place(d.Program, program, sum); err != nil {
		t.Fatal(err)
	}
	d.Program = program
	define(t, d)
	if err := (SCM{}).Start(t.Context(), d.Name); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(dir, "next")
	if err := os.WriteFile(next, []byte("the next version"), 0o600); err != nil {
		t.Fatal(err)
	}
	if sum, err = digestOf(next); err != nil {
		t.Fatal(err)
	}
	left, err := place(next, program, sum)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := digestOf(program); err != nil || got != sum {
		t.Errorf("digest %s, %v", got, err)
	}
	t.Logf("left of the running one: %q", left)
	if err := (SCM{}).Stop(t.Context(), d.Name); err != nil {
		t.Fatal(err)
	}
	if left != "" {
		if inUse, err := removeTree(left); err != nil || len(inUse) > 0 {
			t.Errorf("%q, %v", inUse, err)
		}
	}
}
