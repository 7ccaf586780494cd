package integration_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/integration/chainlab"
	"github.com/gmsa-agent/gmsa-agent/integration/hcsdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// startChain starts a chain lab for the test, or skips the test.
func startChain(t *testing.T, o chainlab.Options) (*chainlab.Lab, context.Context) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts containerd.exe under Wine: run `make test-all`")
	}
	if err := chainlab.Ready(); err != nil {
		t.Skip(err)
	}
	// Everything in a lab is bounded; this is for what hangs all the same.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	o.Report = lab.Report(t)
	l, err := chainlab.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			l.Logs(t.Output())
		}
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return l, ctx
}

// specOfJoinedHost is a credential spec without a plugin, with what makes
// escaping go wrong: quotes, a backslash, letters outside of ASCII, "<", and
// the line separator that JavaScript dislikes.
const specOfJoinedHost = `{"CmsPlugins":["ActiveDirectory"],"DomainJoinConfig":{"Sid":"S-1-5-21-1-2-3","MachineAccountName":"webapp01",` +
	`"Guid":"244818ae-87ac-4fcd-92ec-e79e5252348a","DnsTreeName":"contoso.com","DnsName":"contoso.com","NetBiosName":"CONTOSO"},` +
	`"ActiveDirectoryConfig":{"GroupManagedServiceAccounts":[{"Name":"webapp01","Scope":"contoso.com"}]},` +
	`"Comment":"\"ä\\<` + "\u2028" + `𝄞"}`

// runOnce runs a container with that credential spec and returns what HCS was
// sent for it and all that it was sent.
func runOnce(t *testing.T, ctx context.Context, l *chainlab.Lab, id, spec string) (ofID func(call string) []hcsdouble.Record, all []hcsdouble.Record) {
	t.Helper()
	if err := l.Run(ctx, chainlab.Container{ID: id, CredentialSpec: spec}); err != nil {
		t.Fatal(err)
	}
	if err := l.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
	all, err := l.Records()
	if err != nil {
		t.Fatal(err)
	}
	return func(call string) []hcsdouble.Record { return hcsdouble.Calls(all, call, id) }, all
}

func TestChainShimSpeaksSchema2AsPackageHCSDoes(t *testing.T) {
	l, ctx := startChain(t, chainlab.Options{})
	ofID, all := runOnce(t, ctx, l, "schema2", specOfJoinedHost)

	t.Run("the instance is added before and removed after", func(t *testing.T) {
		var order []string
		for _, r := range all {
			switch r.Call {
			case "HcsModifyServiceSettings", "HcsGetServiceProperties", "HcsCreateComputeSystem", "HcsStartComputeSystem", "HcsShutdownComputeSystem":
				order = append(order, r.Call)
			}
		}
		want := []string{
			"HcsModifyServiceSettings", "HcsGetServiceProperties", "HcsCreateComputeSystem", "HcsStartComputeSystem",
			"HcsShutdownComputeSystem", "HcsModifyServiceSettings",
		}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})

	settings := ofID("HcsModifyServiceSettings")
	if len(settings) != 2 {
		t.Fatalf("%d changes of service settings", len(settings))
	}
	t.Run("AddInstance", func(t *testing.T) {
		want := hcs.ContainerCredentialGuardAddInstanceRequest{
			Id: "schema2", CredentialSpec: hcs.NewOpaque(specOfJoinedHost), Transport: hcs.TransportLRPC,
		}
		request, err := hcs.ParseModification([]byte(settings[0].Document))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&hcs.ModificationRequest{
			PropertyType: hcs.PropertyTypeContainerCredentialGuard,
			Settings:     &hcs.ContainerCredentialGuardOperationRequest{Operation: hcs.OperationAddInstance, OperationDetails: &want},
		}, request); diff != "" {
			t.Errorf("ParseModification (-want +got):\n%s", diff)
		}
		ours, err := hcs.AddInstance(want)
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, ours, settings[0].Document)
	})
	t.Run("RemoveInstance", func(t *testing.T) {
		ours, err := hcs.RemoveInstance(hcs.ContainerCredentialGuardRemoveInstanceRequest{Id: "schema2"})
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, ours, settings[1].Document)
	})
	t.Run("the document carries the instance's state", func(t *testing.T) {
		queries := hcsdouble.Calls(all, "HcsGetServiceProperties", "")
		if len(queries) != 1 {
			t.Fatalf("%d queries", len(queries))
		}
		sameJSON(t, hcs.QueryInstances(), queries[0].Document)
		info, err := hcs.ParseInstances([]byte(queries[0].Answer))
		if err != nil {
			t.Fatal(err)
		}
		instance, err := info.Instance("schema2")
		if err != nil {
			t.Fatal(err)
		}
		created := ofID("HcsCreateComputeSystem")
		if len(created) != 1 {
			t.Fatalf("%d systems", len(created))
		}
		document := created[0].Document
		state, ok, err := hcs.ExtractV2([]byte(document))
		if err != nil || !ok {
			t.Fatalf("ExtractV2: %v, %v", ok, err)
		}
		if diff := cmp.Diff(*instance.CredentialGuard, state); diff != "" {
			t.Errorf("state (-answered +sent):\n%s", diff)
		}
		if state.CredentialSpec.Reveal() != specOfJoinedHost {
			t.Error("the credential spec is not the container's")
		}
		if _, ok, err := hcs.ExtractV1([]byte(document)); ok || err != nil {
			t.Errorf("ExtractV1 of it: %v, %v", ok, err)
		}
	})
	t.Run("injecting gives the same document", func(t *testing.T) {
		document := ofID("HcsCreateComputeSystem")[0].Document
		state, _, err := hcs.ExtractV2([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		// What the shim sends for a container that has no credential spec.
		plain, _ := runOnce(t, ctx, l, "schema2x", "")
		bare := strings.ReplaceAll(plain("HcsCreateComputeSystem")[0].Document, "schema2x", "schema2")
		ours, err := hcs.InjectV2([]byte(bare), state)
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, ours, document)
	})
}

func TestChainShimSpeaksSchema1AsPackageHCSDoes(t *testing.T) {
	l, ctx := startChain(t, chainlab.Options{Build: 14393})
	ofID, all := runOnce(t, ctx, l, "schema1", specOfJoinedHost)

	for _, call := range []string{"HcsModifyServiceSettings", "HcsGetServiceProperties"} {
		if n := len(hcsdouble.Calls(all, call, "")); n != 0 {
			t.Errorf("%d calls of %s: the service looks after credentials by itself", n, call)
		}
	}
	created := ofID("HcsCreateComputeSystem")
	if len(created) != 1 {
		t.Fatalf("%d systems", len(created))
	}
	document := []byte(created[0].Document)
	spec, ok, err := hcs.ExtractV1(document)
	if err != nil || !ok || spec.Reveal() != specOfJoinedHost {
		t.Errorf("ExtractV1: %v, %v; the container's spec: %v", ok, err, spec.Reveal() == specOfJoinedHost)
	}
	if both, ok, err := hcs.Extract(document); err != nil || !ok || !both.Equal(spec) {
		t.Errorf("Extract: %v, %v", ok, err)
	}
	plain, _ := runOnce(t, ctx, l, "schema1x", "")
	bare := strings.ReplaceAll(plain("HcsCreateComputeSystem")[0].Document, "schema1x", "schema1")
	ours, err := hcs.InjectV1([]byte(bare), spec)
	if err != nil {
		t.Fatal(err)
	}
	sameJSON(t, ours, string(document))
}

func TestChainWithoutACredentialSpecHCSHearsNothingOfCCG(t *testing.T) {
	l, ctx := startChain(t, chainlab.Options{})
	for _, id := range []string{"a", "b", "c"} {
		_, all := runOnce(t, ctx, l, id, "")
		if slices.ContainsFunc(all, func(r hcsdouble.Record) bool {
			return strings.Contains(r.Call, "Service") || r.Call == hcsdouble.CallCCG || strings.Contains(r.Document, "Credential")
		}) {
			t.Fatalf("container %s: %+v", id, all)
		}
	}
}

func TestChainAPluginThatIsNotThereStopsTheContainer(t *testing.T) {
	l, ctx := startChain(t, chainlab.Options{})
	spec := strings.Replace(specOfJoinedHost, `{"GroupManaged`,
		`{"HostAccountConfig":{"PortableCcgVersion":"1","PluginGUID":"{11111111-2222-3333-4444-555555555555}","PluginInput":"x"},"GroupManaged`, 1)
	err := l.Run(ctx, chainlab.Container{ID: "none", CredentialSpec: spec})
	if err == nil || !strings.Contains(err.Error(), "RPC server") {
		t.Errorf("Run = %v", err)
	}
	report, ok, err := l.CCGReport("none")
	if err != nil || !ok || !strings.Contains(report.Error, "not found in registry") {
		t.Errorf("CCG: %+v, %v, %v", report, ok, err)
	}
	records, err := l.Records()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(hcsdouble.Calls(records, "HcsCreateComputeSystem", "none")); n != 0 {
		t.Error("the container was created all the same")
	}
}
