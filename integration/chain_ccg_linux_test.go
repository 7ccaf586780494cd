package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/integration/chainlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// The agent's own binding of computecore.dll, its listing of a real containerd,
// and its look for a Docker that is not there. The instances are the HCS
// double's; the containers of those that live are containerd's.
func TestChainTheAgentReapsWhatIsLeftBehindAndNothingElse(t *testing.T) {
	const grace = time.Minute // the steps before containerd goes take some seconds of it, on a busy machine more
	l, ctx := startChain(t, chainlab.Options{Agent: &chainlab.Agent{Config: "ccg:\n  interval: 5s\n  grace: 1m\n"}})
	var live, leaked []string
	for n := range 50 {
		id := fmt.Sprintf("%064x", n)
		if n >= 20 {
			leaked = append(leaked, id)
			continue
		}
		live = append(live, id)
		if err := l.CreateContainer(ctx, chainlab.Container{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	foreign := "6f3c1c35-5a44-4b3c-9f4f-2d6f2f2a7d11"
	// The live ones first: the agent looks all the while.
	for _, err := range []error{l.SeedInstances(true, live...), l.SeedInstances(false, append(slices.Clone(leaked), foreign)...)} {
		if err != nil {
			t.Fatal(err)
		}
	}

	report := waitForReport(t, ctx, l, "the instances", func(r hcs.Report) bool { return len(r.Instances) == 51 })
	states := map[hcs.State]int{}
	for _, f := range report.Instances {
		states[f.State]++
	}
	if diff := cmp.Diff(map[hcs.State]int{hcs.Live: 20, hcs.Orphaned: 30, hcs.Foreign: 1}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s\nunclear: %s\nasked: %+v", diff, report.Unclear, report.Asked)
	}
	if at := slices.IndexFunc(report.Asked, func(a hcs.Asked) bool { return strings.HasPrefix(a.Name, "docker") }); at < 0 || report.Asked[at].Absent == "" {
		t.Errorf("asked: %+v", report.Asked)
	}

	// By hand one goes at once.
	if out, err := l.CLI(ctx, nil, "ccg", "reap", "--now", leaked[0]); err != nil || out != "removed "+leaked[0]+"\n" && out != "removed "+leaked[0]+"\r\n" {
		t.Errorf("reap: %q, %v", out, err)
	}
	if _, err := l.CLI(ctx, nil, "ccg", "reap", "--now", live[0]); err == nil || !strings.Contains(err.Error(), "its container is there") {
		t.Errorf("reap of a live one: %v", err)
	}

	// While containerd is down nothing is known.
	l.KillContainerd()
	// (A look by hand would be seen in status too, and does not count.)
	lab.Eventually(t, "a look of the agent's own", func(ctx context.Context) error {
		var status agent.Status
		out, err := l.CLI(ctx, nil, "status", "-o", "json")
		if err == nil {
			err = json.Unmarshal([]byte(out), &status)
		}
		if err == nil && (status.CCG == nil || !strings.Contains(status.CCG.Unclear, "containerd")) {
			err = fmt.Errorf("ccg: %+v", status.CCG)
		}
		return err
	})
	down := time.Now() // still
	if err := l.StartContainerd(ctx); err != nil {
		t.Fatal(err)
	}
	waitForReport(t, ctx, l, "the end of the grace", func(r hcs.Report) bool { return len(r.Instances) == 21 })

	left, err := l.Instances()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(append(slices.Clone(live), foreign))), left); diff != "" {
		t.Errorf("left in HCS (-want +got):\n%s", diff)
	}
	var removed []string
	records, err := l.Records()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.DLL != "computecore.dll" || r.Call != "HcsModifyServiceSettings" {
			continue
		}
		removed = append(removed, r.ID)
		if r.ID != leaked[0] && r.Time.Before(down.Add(grace)) {
			t.Errorf("%s was removed %v after containerd was down, within the grace", r.ID, r.Time.Sub(down))
		}
	}
	if diff := cmp.Diff(leaked, slices.Sorted(slices.Values(removed))); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	byHand := 0
	recorded := 0
	for r, err := range audit.Read(l.AuditTrail()) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Event == audit.InstanceRemoved {
			recorded++
			if r.Peer != nil {
				byHand++
			}
		}
	}
	if recorded != 30 || byHand != 1 {
		t.Errorf("%d records of removals, %d of them by hand", recorded, byHand)
	}
	for _, file := range []string{l.AgentLog(), l.AuditTrail()} {
		if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "canary") {
			t.Errorf("%s: a cookie or credential spec is in it, or %v", file, err)
		}
	}
}

// While CCG fetches the credentials of a container, its document is in the
// bundle, from which the real shim has read it.
func TestChainAContainersDocumentIsInspectedWithoutItsToken(t *testing.T) {
	l, ctx := startChain(t, chainlab.Options{Agent: &chainlab.Agent{Specs: map[string][]byte{"web.json": []byte(specOfJoinedHost)}}})
	if _, err := l.CLI(ctx, strings.NewReader("canary-password"), "secret", "put", "--domain", "contoso.com", "--user", "ccg", "contoso"); err != nil {
		t.Fatal(err)
	}
	release, err := l.HoldCCG()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- l.Run(ctx, chainlab.Container{ID: "web", Annotations: map[string]string{hook.KeyCredentialSpec: "file://web.json"}})
	}()
	var found []agent.Container
	lab.Eventually(t, "the container's document", func(ctx context.Context) error {
		out, err := l.CLI(ctx, nil, "containers", "inspect", "-o", "json", "web")
		if err == nil {
			found = nil
			err = json.Unmarshal([]byte(out), &found)
		}
		// Before there is a bundle, it is containerd's record that is shown: the
		// watch may have put the document there.
		if c := found; err == nil && (c[0].Carried == nil || !c[0].Carried.Admitted || !strings.HasSuffix(strings.ToLower(c[0].Carried.Place), `\web\config.json`)) {
			err = fmt.Errorf("it carries %+v", c[0].Carried)
		}
		return err
	})
	text, err := l.CLI(ctx, nil, "containers", "inspect", "web")
	if err != nil {
		t.Error(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	// There is no domain here for CCG to go to with what it got.
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "RPC server") {
		t.Errorf("Run = %v", err)
	}

	trace, err := l.Trace("web")
	if err != nil {
		t.Fatal(err)
	}
	sent := trace.Added.Reveal() // what the shim sent to HCS
	spec, err := credspec.Parse([]byte(sent))
	if err != nil || spec.ActiveDirectoryConfig.HostAccountConfig == nil {
		t.Fatal("HCS was sent no HostAccountConfig", err)
	}
	token := spec.ActiveDirectoryConfig.HostAccountConfig.PluginInput
	if want := strings.Replace(sent, token, credspec.Struck, 1); token == "" || found[0].Carried.Document != want {
		t.Errorf("inspected\n%s\nwant\n%s", found[0].Carried.Document, want)
	}
	if strings.Contains(text, token) || !strings.Contains(text, `"PluginInput": "(redacted)"`) {
		t.Error("the text shows the token, or no document")
	}
}

// waitForReport lists the instances until the list is as wanted.
func waitForReport(t *testing.T, ctx context.Context, l *chainlab.Lab, what string, is func(hcs.Report) bool) (report hcs.Report) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := lab.WaitFor(ctx, what, func(ctx context.Context) error {
		out, err := l.CLI(ctx, nil, "ccg", "list", "-o", "json")
		if err != nil {
			return err // a busy machine, on which the agent's answer is late
		}
		if strings.Contains(out, "canary") {
			t.Error("a cookie or credential spec is in the list")
		}
		report = hcs.Report{}
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			return err
		}
		if !is(report) {
			return fmt.Errorf("%d instances, unclear: %s", len(report.Instances), report.Unclear)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}
