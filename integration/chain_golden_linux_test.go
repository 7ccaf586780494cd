package integration_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/integration/chainlab"
	"github.com/gmsa-agent/gmsa-agent/integration/hcsdouble"
)

var update = flag.Bool("update", false, "take the documents of the real shim anew")

// goldenFolder is beside the package that the documents are a test for.
const goldenFolder = "../hcs/testdata/shim"

// The builds that the documents are taken for: Windows Server 2016, 2019, 2022
// and 2025.
var goldenBuilds = []int{14393, 17763, 20348, 26100}

// sent is a call that the shim made, with its document.
type sent struct {
	To       string          `json:"to"` // "HCS", or "guest"
	Call     string          `json:"call"`
	ID       string          `json:"id,omitempty"`
	Document json.RawMessage `json:"document"`
	Answer   json.RawMessage `json:"answer,omitempty"`
}

// The documents are those of hcsshim's own shim; docs/hcs.md says what of each
// way to them is real.
func TestChainTheShimsDocumentsAreTheGoldenOnes(t *testing.T) {
	for isolation, hyperV := range map[string]bool{"process": false, "hyperv": true} {
		t.Run(isolation, func(t *testing.T) {
			l, ctx := startChain(t, chainlab.Options{HyperV: hyperV})
			for _, build := range goldenBuilds {
				if err := l.SetBuild(ctx, build); err != nil {
					t.Fatal(err)
				}
				id := fmt.Sprintf("c%d", build)
				err := l.Run(ctx, chainlab.Container{ID: id, CredentialSpec: specOfJoinedHost, HyperV: hyperV})
				// With schema 1 HCS makes the utility VM; with schema 2 the shim does,
				// and its last step of a creation is at Windows' HvSocket driver.
				vm := hyperV && build >= hcs.MinBuild
				switch {
				case !vm && err != nil:
					t.Fatal(err)
				case vm && (err == nil || !strings.Contains(err.Error(), "redirect container HvSocket failed")):
					t.Fatalf("the shim ends elsewhere: %v", err)
				}
				if err := l.Delete(ctx, id); err != nil {
					t.Fatal(err)
				}
				compareGolden(t, fmt.Sprintf("%d-%s.json", build, isolation), aboutCCG(t, l, id))
			}
		})
	}
}

// aboutCCG are the calls for a container that have to do with CCG: those to HCS
// in their order, then the guest's (Wine's clock is not exact enough to say more).
// What is another in every run is replaced: cookies, endpoints
// and the ids of HvSocket services, all of which the HCS double made up.
func aboutCCG(t *testing.T, l *chainlab.Lab, id string) []sent {
	t.Helper()
	records, err := l.Records()
	if err != nil {
		t.Fatal(err)
	}
	var calls []sent
	var volatile []string
	seen := false // the calls without an ID are this container's from its AddInstance on
	for _, r := range records {
		switch {
		case r.Call == "HcsModifyServiceSettings" && r.ID == id:
			seen = true
			calls = append(calls, sent{"HCS", r.Call, r.ID, json.RawMessage(r.Document), nil})
		case r.Call == "HcsGetServiceProperties" && seen && strings.Contains(r.Document, "CredentialGuard"):
			calls = append(calls, sent{"HCS", r.Call, "", json.RawMessage(r.Document), json.RawMessage(r.Answer)})
			info, err := hcs.ParseInstances([]byte(r.Answer))
			if err != nil {
				t.Fatal(err)
			}
			i, err := info.Instance(id)
			if err != nil {
				t.Fatal(err)
			}
			volatile = append(volatile, i.CredentialGuard.Cookie.Reveal(), "(cookie)", i.CredentialGuard.RpcEndpoint, "(endpoint)")
			if i.HvSocketConfig != nil {
				volatile = append(volatile, i.HvSocketConfig.ServiceId, "(service)")
			}
			seen = false
		case r.Call == "HcsCreateComputeSystem" && (r.ID == id || r.ID == id+"@vm"),
			r.Call == "HcsModifyComputeSystem" && r.ID == id+"@vm" && strings.Contains(r.Document, "ServiceTable"):
			calls = append(calls, sent{"HCS", r.Call, r.ID, json.RawMessage(r.Document), nil})
		}
	}
	for _, m := range l.GuestMessages() {
		if m.Proc != "Create" || m.ID != id {
			continue
		}
		config, err := m.Config()
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, sent{"guest", m.Proc, m.ID, config, nil})
	}
	replace := strings.NewReplacer(volatile...)
	for i := range calls {
		c := &calls[i]
		c.Document = json.RawMessage(replace.Replace(string(c.Document)))
		if c.Answer != nil {
			c.Answer = json.RawMessage(replace.Replace(string(c.Answer)))
		}
	}
	return calls
}

func compareGolden(t *testing.T, name string, calls []sent) {
	t.Helper()
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(calls); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(goldenFolder, name)
	if *update {
		if err := os.MkdirAll(goldenFolder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-golden +now):\n%s", name, diff)
	}
}

// What the shim leaves behind when it dies, for which there is the reaper.
func TestChainAShimThatDiesLeavesItsInstance(t *testing.T) {
	l, ctx := startChain(t, chainlab.Options{})
	if err := l.Run(ctx, chainlab.Container{ID: "left", CredentialSpec: specOfJoinedHost}); err != nil {
		t.Fatal(err)
	}
	if err := l.KillShims(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.Delete(ctx, "left"); err != nil {
		t.Fatal(err)
	}
	records, err := l.Records()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(hcsdouble.Calls(records, "HcsModifyServiceSettings", "left")); n != 1 {
		t.Errorf("%d changes of service settings, not AddInstance alone", n)
	}
	if left, err := l.Instances(); err != nil || len(left) != 1 || left[0] != "left" {
		t.Errorf("instances: %q, %v", left, err)
	}
}
