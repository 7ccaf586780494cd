package hcs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shimCall is a call of hcsshim's own shim; testdata/shim was taken from it by
// integration's TestChainTheShimsDocumentsAreTheGoldenOnes.
type shimCall struct {
	To, Call, ID     string
	Document, Answer json.RawMessage
}

type golden struct {
	name      string
	build     int
	isolation string
	calls     []shimCall
}

func goldens(t *testing.T) (all []golden) {
	t.Helper()
	files, err := filepath.Glob("testdata/shim/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 8 {
		t.Fatalf("%d files, not 4 builds with 2 isolations each", len(files))
	}
	for _, file := range files {
		g := golden{name: strings.TrimSuffix(filepath.Base(file), ".json")}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &g.calls); err != nil {
			t.Fatal(file, err)
		}
		build, isolation, _ := strings.Cut(g.name, "-")
		if g.build, err = strconv.Atoi(build); err != nil {
			t.Fatal(err)
		}
		g.isolation = isolation
		all = append(all, g)
	}
	return all
}

// order is what was called, and on which system.
func (g golden) order() (all []string) {
	id := "c" + strconv.Itoa(g.build)
	for _, c := range g.calls {
		all = append(all, strings.TrimSpace(c.To+" "+c.Call+" "+strings.Replace(c.ID, id, "c", 1)))
	}
	return all
}

func (g golden) one(t *testing.T, what string) shimCall {
	t.Helper()
	order := g.order()
	at := slices.Index(order, what)
	if at < 0 {
		t.Fatalf("%s: no %s in %q", g.name, what, order)
	}
	return g.calls[at]
}

func equalJSON(t *testing.T, what string, got, want []byte) {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(got, &x); err != nil {
		t.Fatal(what, err)
	}
	if err := json.Unmarshal(want, &y); err != nil {
		t.Fatal(what, err)
	}
	if diff := cmp.Diff(y, x); diff != "" {
		t.Errorf("%s (-shim +ours):\n%s", what, diff)
	}
}

// without takes a member out of the object that path leads to.
func without(t *testing.T, doc []byte, path ...string) []byte {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(doc, &root); err != nil {
		t.Fatal(err)
	}
	at := root
	for _, name := range path[:len(path)-1] {
		at = at[name].(map[string]any)
	}
	last := path[len(path)-1]
	if _, ok := at[last]; !ok {
		t.Fatalf("no %s", last)
	}
	delete(at, last)
	out, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTheShimsCallsAreThoseThatThePackageKnows(t *testing.T) {
	process := []string{"HCS HcsModifyServiceSettings c", "HCS HcsGetServiceProperties", "HCS HcsCreateComputeSystem c", "HCS HcsModifyServiceSettings c"}
	hyperV := []string{
		"HCS HcsCreateComputeSystem c@vm", "HCS HcsModifyServiceSettings c", "HCS HcsGetServiceProperties",
		"HCS HcsModifyComputeSystem c@vm", "HCS HcsModifyServiceSettings c", "guest Create c",
	}
	for _, g := range goldens(t) {
		t.Run(g.name, func(t *testing.T) {
			want := map[string][]string{"process": process, "hyperv": hyperV}[g.isolation]
			if g.build < MinBuild {
				want = []string{"HCS HcsCreateComputeSystem c"}
			}
			if diff := cmp.Diff(want, g.order()); diff != "" {
				t.Fatalf("calls (-want +got):\n%s", diff)
			}
			if g.build < MinBuild {
				schema1(t, g)
				return
			}
			schema2(t, g)
		})
	}
}

func schema1(t *testing.T, g golden) {
	doc := g.one(t, "HCS HcsCreateComputeSystem c").Document
	spec, ok, err := ExtractV1(doc)
	if err != nil || !ok || !json.Valid([]byte(spec.Reveal())) {
		t.Fatalf("ExtractV1: %v, %v", ok, err)
	}
	if both, ok, err := Extract(doc); err != nil || !ok || !both.Equal(spec) {
		t.Errorf("Extract: %v, %v", ok, err)
	}
	again, err := InjectV1(without(t, doc, "Credentials"), spec)
	if err != nil {
		t.Fatal(err)
	}
	equalJSON(t, "InjectV1", again, doc)
}

func schema2(t *testing.T, g golden) {
	id := "c" + strconv.Itoa(g.build)
	hosted := g.isolation == "hyperv"
	transport, container := TransportLRPC, "HCS HcsCreateComputeSystem c"
	if hosted {
		transport, container = TransportHvSocket, "guest Create c"
	}

	added := g.one(t, "HCS HcsModifyServiceSettings c").Document
	m, err := ParseModification(added)
	if err != nil {
		t.Fatal(err)
	}
	add, ok := m.Settings.OperationDetails.(*ContainerCredentialGuardAddInstanceRequest)
	if !ok || add.Id != id || add.Transport != transport || !json.Valid([]byte(add.CredentialSpec.Reveal())) {
		t.Fatalf("AddInstance: %+v", m.Settings)
	}
	ours, err := AddInstance(*add)
	if err != nil {
		t.Fatal(err)
	}
	equalJSON(t, "AddInstance", ours, added)

	asked := g.one(t, "HCS HcsGetServiceProperties")
	equalJSON(t, "QueryInstances", QueryInstances(), asked.Document)
	info, err := ParseInstances(asked.Answer)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := info.Instance(id)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := ParseInstanceList(asked.Answer); err != nil || !reflect.DeepEqual(list, []Instance{{id, transport}}) {
		t.Errorf("ParseInstanceList: %v, %v", list, err)
	}

	doc := g.one(t, container).Document
	state, ok, err := ExtractV2(withContainer(t, doc, hosted))
	if err != nil || !ok {
		t.Fatalf("ExtractV2: %v, %v", ok, err)
	}
	if diff := cmp.Diff(*instance.CredentialGuard, state); diff != "" || !state.CredentialSpec.Equal(add.CredentialSpec) {
		t.Errorf("the document's state (-answered +sent):\n%s", diff)
	}
	again, err := InjectV2(without(t, doc, "Container", "ContainerCredentialGuard"), state)
	if err != nil {
		t.Fatal(err)
	}
	equalJSON(t, "InjectV2", again, doc)

	if hosted {
		serviceTable(t, g, instance.HvSocketConfig)
		vm := g.one(t, "HCS HcsCreateComputeSystem c@vm").Document
		if _, ok, err := Extract(vm); ok || err != nil {
			t.Errorf("Extract of the utility VM: %v, %v", ok, err)
		}
	}

	var last []byte
	for _, c := range g.calls {
		if c.Call == "HcsModifyServiceSettings" {
			last = c.Document
		}
	}
	ours, err = RemoveInstance(ContainerCredentialGuardRemoveInstanceRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	equalJSON(t, "RemoveInstance", ours, last)
}

// withContainer is the document as HCS would be sent it: the guest is sent what
// stands in HostedSystem.
func withContainer(t *testing.T, doc []byte, hosted bool) []byte {
	t.Helper()
	if !hosted {
		return doc
	}
	out, err := json.Marshal(map[string]any{"HostedSystem": json.RawMessage(doc)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// serviceTable checks the entry of the utility VM's HvSocket service table
// against the instance's.
func serviceTable(t *testing.T, g golden, config *ContainerCredentialGuardHvSocketServiceConfig) {
	t.Helper()
	if config == nil || config.ServiceConfig == nil {
		t.Fatal("the instance has no HvSocketConfig")
	}
	var update struct {
		ResourcePath, RequestType string
		Settings                  HvSocketServiceConfig
	}
	if err := json.Unmarshal(g.one(t, "HCS HcsModifyComputeSystem c@vm").Document, &update); err != nil {
		t.Fatal(err)
	}
	if want := "VirtualMachine/Devices/HvSocket/HvSocketConfig/ServiceTable/" + config.ServiceId; update.ResourcePath != want || update.RequestType != "Update" {
		t.Errorf("%s %s, want %s", update.RequestType, update.ResourcePath, want)
	}
	if diff := cmp.Diff(*config.ServiceConfig, update.Settings); diff != "" {
		t.Errorf("service (-answered +sent):\n%s", diff)
	}
}

// The builds differ in the schema alone: what is said for one of schema 2 holds
// for all.
func TestTheShimSendsTheSameToAllBuildsOfSchema2(t *testing.T) {
	texts := map[string]string{}
	for _, g := range goldens(t) {
		if g.build < MinBuild {
			continue
		}
		data, err := json.Marshal(g.calls)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), strconv.Itoa(g.build), "N")
		if before, ok := texts[g.isolation]; ok && before != text {
			t.Errorf("%s differs", g.name)
		}
		texts[g.isolation] = text
	}
}
