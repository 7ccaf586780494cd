package hcs

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// What hcsshim sends, and what it is answered.
const (
	addRequest    = `{"PropertyType":"ContainerCredentialGuard","Settings":{"Operation":"AddInstance","OperationDetails":{"Id":"c1","CredentialSpec":"` + specJSON + `","Transport":"LRPC"}}}`
	removeRequest = `{"PropertyType":"ContainerCredentialGuard","Settings":{"Operation":"RemoveInstance","OperationDetails":{"Id":"c1"}}}`
	query         = `{"PropertyTypes":["ContainerCredentialGuard"]}`
	reply         = `{"Properties":[{"Instances":[` +
		`{"Id":"c1","CredentialGuard":{"Cookie":"fakecookie0","RpcEndpoint":"fakeendpoint0","Transport":"LRPC","CredentialSpec":"` + specEscaped + `"}},` +
		`{"Id":"c2","CredentialGuard":{"Cookie":"fakecookie1","RpcEndpoint":"fakeendpoint1","Transport":"HvSocket","CredentialSpec":"` + specJSON + `"},` +
		`"HvSocketConfig":{"ServiceId":"7ba22d58-0000-0000-0000-000000000000","ServiceConfig":{"BindSecurityDescriptor":"D:P(A;;FA;;;SY)","ConnectSecurityDescriptor":"D:P(A;;FA;;;BA)","AllowWildcardBinds":true,"Disabled":false}}},` +
		`{"Id":"c3","More":{}}]}]}`
)

func TestRequestsAreWhatHCSShimSends(t *testing.T) {
	add, err := AddInstance(ContainerCredentialGuardAddInstanceRequest{Id: "c1", CredentialSpec: NewOpaque(spec), Transport: TransportLRPC})
	if err != nil || string(add) != addRequest {
		t.Errorf("%v\n got %s\nwant %s", err, add, addRequest)
	}
	remove, err := RemoveInstance(ContainerCredentialGuardRemoveInstanceRequest{Id: "c1"})
	if err != nil || string(remove) != removeRequest {
		t.Errorf("%v\n got %s\nwant %s", err, remove, removeRequest)
	}
	if got := string(QueryInstances()); got != query {
		t.Errorf("got %s, want %s", got, query)
	}
	if got, want := string(ServicePropertyQuery{PropertyTypes: []string{"a", "b"}}.Encode()), `{"PropertyTypes":["a","b"]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRequestsThatHCSCannotMeanAreRefused(t *testing.T) {
	for name, r := range map[string]ContainerCredentialGuardAddInstanceRequest{
		"no id":             {"", NewOpaque("canary"), TransportLRPC},
		"no spec":           {"c1", Opaque{}, TransportLRPC}, // hcsshim makes an instance of it
		"no transport":      {"c1", NewOpaque("canary"), ""},
		"another transport": {"c1", NewOpaque("canary"), "TCP"},
		"not UTF-8":         {"c1", NewOpaque("canary\xff"), TransportLRPC},
	} {
		if _, err := AddInstance(r); !errors.Is(err, fault.ErrMalformed) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := RemoveInstance(ContainerCredentialGuardRemoveInstanceRequest{}); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("remove without an id: %v", err)
	}
}

func TestParseModificationReadsBothOperations(t *testing.T) {
	for request, want := range map[string]*ModificationRequest{
		addRequest: {PropertyTypeContainerCredentialGuard, &ContainerCredentialGuardOperationRequest{
			OperationAddInstance, &ContainerCredentialGuardAddInstanceRequest{"c1", NewOpaque(spec), TransportLRPC}}},
		removeRequest: {PropertyTypeContainerCredentialGuard, &ContainerCredentialGuardOperationRequest{
			OperationRemoveInstance, &ContainerCredentialGuardRemoveInstanceRequest{"c1"}}},
		`{"PropertyType":"CpuGroup","Settings":[1]}`: {PropertyType: "CpuGroup"},
	} {
		got, err := ParseModification([]byte(request))
		if err != nil {
			t.Errorf("%s: %v", request, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", request, diff)
		}
	}
	for request, want := range map[string]string{
		`{`:                  "modification request: offset 1",
		`{"PropertyType":1}`: "modification request: /PropertyType is a number",
		`{"PropertyType":"ContainerCredentialGuard"}`:                                                                       "/Settings is missing",
		`{"PropertyType":"ContainerCredentialGuard","Settings":{"Operation":"AddInstance"}}`:                                "/Settings/OperationDetails is missing",
		`{"PropertyType":"ContainerCredentialGuard","Settings":{"Operation":"Other","OperationDetails":{}}}`:                `/Settings has operation "Other", which is not known`,
		`{"PropertyType":"ContainerCredentialGuard","Settings":{"Operation":"RemoveInstance","OperationDetails":{"Id":7}}}`: "/Settings/OperationDetails/Id is a number",
	} {
		if _, err := ParseModification([]byte(request)); !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", request, err, want)
		}
	}
}

func TestParseInstancesReadsHCSsAnswer(t *testing.T) {
	got, err := ParseInstances([]byte(reply))
	if err != nil {
		t.Fatal(err)
	}
	want := &ContainerCredentialGuardSystemInfo{[]ContainerCredentialGuardInstance{
		{Id: "c1", CredentialGuard: &ContainerCredentialGuardState{NewOpaque("fakecookie0"), "fakeendpoint0", TransportLRPC, NewOpaque(spec)}},
		{
			Id:              "c2",
			CredentialGuard: &ContainerCredentialGuardState{NewOpaque("fakecookie1"), "fakeendpoint1", TransportHvSocket, NewOpaque(spec)},
			HvSocketConfig: &ContainerCredentialGuardHvSocketServiceConfig{"7ba22d58-0000-0000-0000-000000000000",
				&HvSocketServiceConfig{"D:P(A;;FA;;;SY)", "D:P(A;;FA;;;BA)", true, false}},
		},
		{Id: "c3"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if i, err := got.Instance("c2"); err != nil || i.Id != "c2" {
		t.Errorf("Instance: %v, %v", i, err)
	}
	if _, err := got.Instance("c4"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("Instance of another container: %v", err)
	}
	if none, err := ParseInstances([]byte(`{"Properties":[{}]}`)); err != nil || len(none.Instances) != 0 {
		t.Errorf("no instances: %v, %v", none, err)
	}
}

func TestParseInstancesRefusesAnotherAnswer(t *testing.T) {
	for answer, want := range map[string]string{
		`{}`:                                "service properties has 0 properties and should have 1",
		`{"Properties":[{},{}]}`:            "service properties has 2 properties and should have 1",
		`{"Properties":[1]}`:                "service properties: /Properties/0 is a number",
		`{"Properties":[{"Instances":{}}]}`: "service properties: /Properties/0/Instances is an object",
		`{"Properties":[{"Instances":[{"Id":1}]}]}`:                                              "service properties: /Properties/0/Instances/0/Id is a number",
		`{"Properties":[{"Instances":[{"CredentialGuard":{"Cookie":["canary"]}}]}]}`:             "/CredentialGuard/Cookie is an array",
		`{"Properties":[{"Instances":[{"HvSocketConfig":{"ServiceConfig":{"Disabled":"x"}}}]}]}`: "/ServiceConfig/Disabled is a string and should be true or false",
		`{"Properties":[{"Instances":[{"HvSocketConfig":1}]}]}`:                                  "/HvSocketConfig is a number",
	} {
		_, err := ParseInstances([]byte(answer))
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", answer, err, want)
		}
	}
}

func FuzzService(f *testing.F) {
	for _, s := range []string{addRequest, removeRequest, query, reply, `{"Properties":[{"Instances":[{"Id":"x","HvSocketConfig":{}}]}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if info, err := ParseInstances(data); err != nil && !errors.Is(err, fault.ErrMalformed) || err == nil && info == nil {
			t.Fatalf("ParseInstances: %v, %v", info, err)
		}
		if info, err := ParseInstances(data); err == nil {
			list, err := ParseInstanceList(data)
			if err != nil || len(list) != len(info.Instances) {
				t.Fatalf("ParseInstanceList: %v, %v", list, err)
			}
			for n, i := range info.Instances {
				if list[n].ID != i.Id {
					t.Fatalf("ParseInstanceList: %q, not %q", list[n].ID, i.Id)
				}
			}
		}
		m, err := ParseModification(data)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Fatalf("error %v has no kind", err)
			}
			return
		}
		if m.Settings == nil {
			return
		}
		// A request that was read and can be written reads as the same.
		var again []byte
		switch d := m.Settings.OperationDetails.(type) {
		case *ContainerCredentialGuardAddInstanceRequest:
			again, err = AddInstance(*d)
		case *ContainerCredentialGuardRemoveInstanceRequest:
			again, err = RemoveInstance(*d)
		default:
			t.Fatalf("details %T", d)
		}
		if err != nil {
			return // a member is missing
		}
		reread, err := ParseModification(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, reread); diff != "" {
			t.Fatal(diff)
		}
	})
}
