package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/registry"
	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/ccgdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/chainlab"
	"github.com/gmsa-agent/gmsa-agent/integration/hcsdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

const (
	contosoSpec  = "webapp01-contoso.json"
	fabrikamSpec = "webapp01-fabrikam.json"
)

// agentConfig has each domain's plugin user serve its own domain.
const agentConfig = `secrets:
  serve:
    - {domain: contoso.com, secret: 'local://contoso'}
    - {domain: fabrikam.com, secret: 'local://fabrikam'}
`

// chain is the whole stack with both domains.
type chain struct {
	*testing.T
	lab *chainlab.Lab
	ctx context.Context
	ad  *adlab.Lab
}

func startWholeChain(t *testing.T) *chain {
	t.Helper()
	if testing.Short() {
		t.Skip("starts containerd.exe under Wine: run `make test-all`")
	}
	if err := adlab.Ready(); err != nil {
		t.Skip(err)
	}
	ad, err := adlab.Start(t.Context(), adlab.Options{Wait: 5 * time.Minute, Report: lab.Report(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ad.Stop(); err != nil {
			t.Error(err)
		}
	})
	o := chainlab.Options{
		CCG:   ccgdouble.Config{Domains: map[string]directory.Config{}},
		Agent: &chainlab.Agent{Config: agentConfig, Specs: map[string][]byte{}},
	}
	for file, d := range map[string]*adlab.Domain{contosoSpec: ad.Contoso, fabrikamSpec: ad.Fabrikam} {
		o.CCG.Domains[d.DNSName] = directory.Config{DNS: []string{d.DNS}, CAFile: d.CAFile}
		o.Agent.Specs[file] = generated(t, d, "webapp01")
	}
	l, ctx := startChain(t, o)
	for name, d := range map[string]*adlab.Domain{"contoso": ad.Contoso, "fabrikam": ad.Fabrikam} {
		password := strings.NewReader(string(d.Plugin.Password))
		if _, err := l.CLI(ctx, password, "secret", "put", "--domain", d.DNSName, "--user", d.Plugin.Name, name); err != nil {
			t.Fatal(err)
		}
	}
	return &chain{T: t, lab: l, ctx: ctx, ad: ad}
}

// generated is what "credspec generate" writes of an account, on Linux, as an
// administrator's pipeline would.
func generated(t *testing.T, d *adlab.Domain, account string) []byte {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(d.Plugin.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := lab.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./cmd/gmsa-agent", "credspec", "generate",
		"--domain", d.DNSName, "--account", account, "--user", d.Plugin.Name, "--password-file", password,
		"--dc", d.Host+"="+d.IP.String(), "--ca-file", d.CAFile)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return out
}

// asks makes a container that asks for a credential spec by annotation.
func asks(id, ref string) chainlab.Container {
	return chainlab.Container{ID: id, Annotations: map[string]string{hook.KeyCredentialSpec: ref}}
}

// must fails the test on an error.
func (c *chain) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// became returns who the container became.
func (c *chain) became(id string) ccgdouble.Report {
	c.Helper()
	report, ok, err := c.lab.CCGReport(id)
	if err != nil || !ok {
		c.Fatalf("container %s: CCG's report: %v, %v", id, ok, err)
	}
	return report
}

// document returns the credential spec that HCS got for the container.
func (c *chain) document(id string) []byte {
	c.Helper()
	for _, r := range c.calls("HcsModifyServiceSettings", id) {
		request, err := hcs.ParseModification([]byte(r.Document))
		c.must(err)
		if add, ok := request.Settings.OperationDetails.(*hcs.ContainerCredentialGuardAddInstanceRequest); ok {
			return []byte(add.CredentialSpec.Reveal())
		}
	}
	c.Fatalf("no CCG instance was added for container %s", id)
	return nil
}

func (c *chain) calls(call, id string) []hcsdouble.Record {
	c.Helper()
	records, err := c.lab.Records()
	c.must(err)
	return hcsdouble.Calls(records, call, id)
}

// waitAudit waits for an event about the container and returns its first record.
func (c *chain) waitAudit(event audit.Event, id string) (found audit.Record) {
	c.Helper()
	lab.Eventually(c.T, fmt.Sprintf("%s of container %s in the audit trail", event, id), func(context.Context) error {
		records := c.audited(event, id)
		if len(records) == 0 {
			return errors.New("not there")
		}
		found = records[0]
		return nil
	})
	return found
}

// audited returns the records of an event about the container, as far as they
// are written.
func (c *chain) audited(event audit.Event, id string) (found []audit.Record) {
	c.Helper()
	for r, err := range audit.Read(c.lab.AuditTrail()) {
		if err == nil && r.Event == event && r.Container != nil && r.Container.ID == id {
			found = append(found, r)
		}
	}
	return found
}

// refusedGrant is the plugin's HRESULT for a grant that is not live.
const refusedGrant = "0xa0040022"

func TestChain(t *testing.T) {
	c := startWholeChain(t)
	canary := c.watchForPasswords()
	run := func(name string, f func(*chain)) {
		c.Run(name, func(t *testing.T) {
			sub := *c
			sub.T = t
			f(&sub)
		})
	}
	// In this order: they share one host, and what one leaves the next may find.
	run("each container becomes the gMSA of its own domain", (*chain).bothDomains)
	run("a document in the registry is as good as one in a file", (*chain).fromRegistry)
	run("a container without a gMSA is left alone", (*chain).withoutGMSA)
	run("a wrong reference stops the container and ctr says why", (*chain).wrongReference)
	run("a document copied from another container is refused", (*chain).copiedDocument)
	run("an agent killed between admission and redemption loses nothing", (*chain).killedBetween)
	run("without an agent only containers that ask are stopped", (*chain).withoutAgent)
	run("containers outlive containerd and keep their grants", (*chain).containerdRestarts)
	run("a grant ends with its container", (*chain).grantEnds)
	run("every CCG instance is removed", (*chain).instancesRemoved)
	run("no password is anywhere", func(c *chain) { c.noPassword(canary) })
}

func (c *chain) bothDomains() {
	want := map[string]ccgdouble.Report{
		"contoso":  {Domain: "contoso.com", Principal: "webapp01$@CONTOSO.COM", WhoAmI: `u:CONTOSO\webapp01$`, User: c.ad.Contoso.Plugin.Name},
		"fabrikam": {Domain: "fabrikam.com", Principal: "webapp01$@FABRIKAM.COM", WhoAmI: `u:FABRIKAM\webapp01$`, User: c.ad.Fabrikam.Plugin.Name},
	}
	c.must(c.both(asks("contoso", "file://"+contosoSpec), asks("fabrikam", "file://"+fabrikamSpec)))
	for id, w := range want {
		r := c.became(id)
		got := ccgdouble.Report{Domain: r.Domain, Principal: r.Principal, WhoAmI: r.WhoAmI, User: r.User}
		if diff := cmp.Diff(w, got); diff != "" {
			c.Errorf("container %s (-want +got):\n%s", id, diff)
		}
		released := c.waitAudit(audit.RedeemReleased, id)
		// Until the agent has seen the wrapper, its watch may admit a container
		// in the same moment: the wrapper's admission ends the earlier grant.
		admitted, revoked := c.audited(audit.AdmitGranted, id), c.audited(audit.GrantRevoked, id)
		last := len(admitted) - 1
		if released.Domain != w.Domain || last < 0 || released.Grant != admitted[last].Grant {
			c.Errorf("audit: released %+v, admitted %+v", released, admitted)
		}
		for i, earlier := range admitted[:max(last, 0)] {
			if i >= len(revoked) || revoked[i].Grant != earlier.Grant {
				c.Errorf("audit: the grant %s was replaced and %+v are the ends of grants", earlier.Grant, revoked)
			}
		}
		created := c.calls("HcsCreateComputeSystem", id)
		if len(created) != 1 {
			c.Fatalf("container %s was created %d times", id, len(created))
		}
		state, ok, err := hcs.ExtractV2([]byte(created[0].Document))
		if err != nil || !ok || state.CredentialSpec.Reveal() != string(c.document(id)) {
			c.Errorf("container %s: its document does not carry what was admitted: %v, %v", id, ok, err)
		}
	}
}

func (c *chain) fromRegistry() {
	var document bytes.Buffer
	c.must(json.Compact(&document, generated(c.T, c.ad.Contoso, "webapp01")))
	c.must(c.lab.SetString(c.ctx, `HKLM\`+registry.Path, "webapp01", document.String()))
	c.must(c.lab.Run(c.ctx, asks("registry", "registry://webapp01")))
	if got, want := c.became("registry").Principal, "webapp01$@CONTOSO.COM"; got != want {
		c.Errorf("it became %q, want %q", got, want)
	}
	if r := c.waitAudit(audit.AdmitGranted, "registry"); r.Digest != credspec.Digest(document.Bytes()) {
		c.Errorf("audit: the digest is %q, not the document's", r.Digest)
	}
	c.must(c.lab.Delete(c.ctx, "registry"))
}

// both runs both containers at the same time.
func (c *chain) both(a, b chainlab.Container) error {
	errs := make(chan error, 2)
	for _, container := range []chainlab.Container{a, b} {
		go func() { errs <- c.lab.Run(c.ctx, container) }()
	}
	return errors.Join(<-errs, <-errs)
}

func (c *chain) withoutGMSA() {
	c.must(c.lab.Run(c.ctx, chainlab.Container{ID: "plain"}))
	if n := len(c.calls("HcsModifyServiceSettings", "plain")); n != 0 {
		c.Errorf("%d calls about CCG", n)
	}
	if document := c.calls("HcsCreateComputeSystem", "plain")[0].Document; strings.Contains(document, "Credential") {
		c.Errorf("its document: %s", document)
	}
	c.must(c.lab.Delete(c.ctx, "plain"))
}

func (c *chain) wrongReference() {
	for id, ref := range map[string]string{
		"missing": "file://nowhere.json",
		"climbs":  "file://../config.yaml",
		"scheme":  "ftp://contoso.com/webapp01.json",
	} {
		err := c.lab.Run(c.ctx, asks(id, ref))
		if err == nil || !strings.Contains(err.Error(), ref) || !strings.Contains(err.Error(), "gmsa-agent") {
			c.Errorf("%s: ctr said: %v", ref, err)
		}
		c.waitAudit(audit.AdmitRefused, id)
		if n := len(c.calls("HcsCreateComputeSystem", id)); n != 0 {
			c.Errorf("%s: the container was created", ref)
		}
		c.must(c.lab.Delete(c.ctx, id))
	}
}

func (c *chain) copiedDocument() {
	err := c.lab.Run(c.ctx, chainlab.Container{ID: "thief", CredentialSpec: string(c.document("contoso"))})
	if err == nil || !strings.Contains(err.Error(), "containerd/gmsa/contoso") {
		c.Errorf("ctr said: %v", err)
	}
	if n := len(c.calls(hcsdouble.CallCCG, "thief")); n != 0 {
		c.Error("CCG heard of it")
	}
	c.must(c.lab.Delete(c.ctx, "thief"))
}

func (c *chain) killedBetween() {
	release, err := c.lab.HoldCCG()
	c.must(err)
	started := make(chan error, 1)
	go func() { started <- c.lab.Run(c.ctx, asks("survivor", "file://"+contosoSpec)) }()
	c.waitAudit(audit.AdmitGranted, "survivor")
	c.lab.KillAgent()
	c.must(c.lab.StartAgent(c.ctx))
	c.must(release())
	c.must(<-started)
	if r := c.became("survivor"); r.Principal != "webapp01$@CONTOSO.COM" {
		c.Errorf("report: %+v", r)
	}
	c.must(c.lab.Delete(c.ctx, "survivor"))
}

func (c *chain) withoutAgent() {
	c.lab.KillAgent()
	err := c.lab.Run(c.ctx, asks("refused", "file://"+contosoSpec))
	if err == nil || !strings.Contains(err.Error(), "gmsa-agent") {
		c.Errorf("ctr said: %v", err)
	}
	if n := len(c.calls("HcsCreateComputeSystem", "refused")); n != 0 {
		c.Error("it was created")
	}
	c.must(c.lab.Run(c.ctx, chainlab.Container{ID: "plain-without-agent"}))
	c.must(c.lab.StartAgent(c.ctx))
	c.must(c.lab.Delete(c.ctx, "plain-without-agent"))
	c.must(c.lab.Delete(c.ctx, "refused"))
}

func (c *chain) containerdRestarts() {
	c.lab.KillContainerd()
	c.must(c.lab.StartContainerd(c.ctx))
	out, err := c.lab.Ctr(c.ctx, "tasks", "list")
	c.must(err)
	for _, id := range []string{"contoso", "fabrikam"} {
		if !strings.Contains(out, id) {
			c.Errorf("containerd does not know %s:\n%s", id, out)
		}
		r, err := c.lab.CCG(c.ctx, c.document(id)) // as when the gMSA's password has changed
		if err != nil || r.Error != "" {
			c.Errorf("container %s: %+v, %v", id, r, err)
		}
	}
}

func (c *chain) grantEnds() {
	documents := map[string][]byte{}
	for _, id := range []string{"contoso", "fabrikam"} {
		documents[id] = c.document(id)
		c.must(c.lab.Delete(c.ctx, id))
	}
	for id, document := range documents {
		c.waitAudit(audit.GrantRevoked, id)
		r, err := c.lab.CCG(c.ctx, document)
		c.must(err)
		if r.HResult != refusedGrant || r.User != "" || r.Principal != "" {
			c.Errorf("container %s: %+v", id, r)
		}
	}
}

func (c *chain) instancesRemoved() {
	live := map[string]bool{}
	var added []string
	records, err := c.lab.Records()
	c.must(err)
	for _, r := range hcsdouble.Calls(records, "HcsModifyServiceSettings", "") {
		request, err := hcs.ParseModification([]byte(r.Document))
		c.must(err)
		if live[r.ID] = request.Settings.Operation == hcs.OperationAddInstance; live[r.ID] {
			added = append(added, r.ID)
		}
	}
	slices.Sort(added)
	if diff := cmp.Diff([]string{"contoso", "fabrikam", "registry", "survivor"}, added); diff != "" {
		c.Errorf("instances that were added (-want +got):\n%s", diff)
	}
	for id, is := range live {
		if is {
			c.Errorf("the instance of %s is left", id)
		}
	}
}
