package containerd

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/integration/containerdlab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// onlyWrapper leaves the work to the wrapper.
const onlyWrapper = "  inject: never"

func TestAContainerThatAsksFindsExactlyTheAdmittedDocumentInItsBundle(t *testing.T) {
	h := newHost(t, onlyWrapper)
	h.startAgent()
	h.run(h.asking("web", "file://webapp01.json"))
	h.admitted("web")
	if r := h.recorded(audit.AdmitGranted, "web"); r.Reference != "file://webapp01.json" || r.Domain != "contoso.com" {
		t.Errorf("audit: %+v", r)
	}
	h.granted("web")
	h.delete("web")
	h.granted()
	h.recorded(audit.GrantRevoked, "web")
}

func TestTwoContainersHaveGrantsOfTheirOwn(t *testing.T) {
	h := newHost(t, onlyWrapper)
	h.startAgent()
	h.run(h.asking("a", "file://webapp01.json"))
	h.run(h.asking("b", "file://webapp01.json"))
	if h.admitted("a") == h.admitted("b") {
		t.Error("both have the same document")
	}
	h.granted("a", "b")
	h.delete("a")
	h.granted("b")
}

func TestAContainerThatIsRefusedHasNoTaskAndCtrPrintsWhy(t *testing.T) {
	h := newHost(t, onlyWrapper)
	h.startAgent()
	other := strings.NewReplacer("contoso.com", "fabrikam.com", "CONTOSO", "FABRIKAM").Replace(spec)
	h.write(h.Path("agent", "specs", "fabrikam.json"), other)
	h.write(h.Path("agent", "specs", "broken.json"), `{"CmsPlugins": [`)
	for id, test := range map[string]struct{ ref, says string }{
		"missing":  {"file://missing.json", "missing.json"},
		"climbing": {"file://../../etc/passwd", "etc/passwd"},
		"scheme":   {"gopher://x", "gopher"},
		"registry": {"registry://webapp01", "only Windows has a registry"},
		"swarm":    {"config://webapp01", "dockerd only"},
		"broken":   {"file://broken.json", "broken.json"},
		"secret":   {"file://fabrikam.json", "fabrikam.com"},
		"again":    {h.strangersDocument(), "admitted for"},
	} {
		err := h.Run(t.Context(), h.asking(id, test.ref))
		if err == nil {
			t.Errorf("%s: it started", id)
			continue
		}
		for _, want := range []string{"gmsa-agent: " + h.Namespace + "/" + id + " was not started", test.says, "next: gmsa-agent containers inspect " + id} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %v", id, want, err)
			}
		}
		if strings.Contains(err.Error(), "gmsa1.") {
			t.Errorf("%s: a grant token is in %v", id, err)
		}
		if out, err := h.Ctr(t.Context(), "tasks", "list"); err != nil || strings.Contains(out, id+" ") {
			t.Errorf("%s has a task: %s, %v", id, out, err)
		}
		h.recorded(audit.AdmitRefused, id)
	}
}

// strangersDocument is a document that another container was admitted with.
func (h *host) strangersDocument() string {
	h.run(h.asking("stranger", "file://webapp01.json"))
	return h.admitted("stranger")
}

func TestAContainerThatAsksDoesNotStartWithoutTheAgent(t *testing.T) {
	h := newHost(t, onlyWrapper)
	err := h.Run(t.Context(), h.asking("web", "file://webapp01.json"))
	if err == nil || !strings.Contains(err.Error(), "the agent cannot be reached") || !strings.Contains(err.Error(), "file://webapp01.json") {
		t.Fatalf("%v", err)
	}
	h.startAgent()
	h.must(h.StartTask(t.Context(), "web")) // the record is there, and the agent now too
	h.admitted("web")
}

func TestAContainerThatDoesNotAskNeverNoticesTheAgent(t *testing.T) {
	h := newHost(t, onlyWrapper)
	plain := func(id string) {
		t.Helper()
		h.run(containerdlab.Container{ID: id, Shim: h.wrapper, Annotations: map[string]string{"a": "b"}, Labels: map[string]string{"c": "d"}})
		h.mustBeUntouched(id)
		h.delete(id)
	}
	plain("missing")
	h.startAgent()
	plain("up")
	h.freeze()
	plain("hung")
	h.resume()
	h.must(h.Create(t.Context(), containerdlab.Container{ID: "between", Shim: h.wrapper}))
	h.killAgent()
	h.must(h.StartTask(t.Context(), "between"))
	h.mustBeUntouched("between")
	plain("killed")

	h.must(os.Remove(h.endpoint()))
	listener, err := net.Listen("unix", h.endpoint())
	h.must(err)
	defer listener.Close() //nolint:errcheck // the test's own
	plain("stranger")
}

func TestWhatIsInFrontOfTheShimDoesNotShowInTheContainer(t *testing.T) {
	h := newHost(t, onlyWrapper)
	for _, shim := range []string{"", h.wrapper} {
		flags := []string{"run", "--rm", "--snapshotter", "native"}
		if shim != "" {
			flags = append(flags, "--runtime", shim)
		}
		out, err := h.Ctr(t.Context(), append(flags, containerdlab.Image, "says", "sh", "-c", "echo out; echo err >&2; exit 7")...)
		if out != "out\n" || err == nil || !strings.Contains(err.Error(), "err") {
			t.Errorf("through %q: %q, %v", shim, out, err)
		}
	}
}

func TestGrantsOutliveContainerdAndTheAgent(t *testing.T) {
	h := newHost(t, onlyWrapper)
	h.startAgent()
	for _, id := range []string{"a", "b", "c"} {
		h.run(h.asking(id, "file://webapp01.json"))
	}
	document := h.admitted("a")

	h.must(h.KillContainerd())
	h.must(h.StartContainerd(t.Context()))
	h.connected()
	h.granted("a", "b", "c")
	h.delete("b") // seen by the watch's new connection
	h.granted("a", "c")

	h.killAgent()
	h.delete("c") // seen by nobody
	h.startAgent()
	h.granted("a")
	h.recorded(audit.GrantRevoked, "c")
	h.mustRedeem("a")
	if h.admitted("a") != document {
		t.Error("the running container's document changed")
	}
	if lost := h.records(audit.InjectionLost, "a"); len(lost) > 0 {
		t.Errorf("lost: %+v", lost)
	}
}

func TestAReferenceThatStandsInALabelIsTheWatchsToServe(t *testing.T) {
	h := newHost(t, "  inject: auto")
	h.startAgent()
	h.run(h.asking("seen", "file://webapp01.json")) // by the wrapper
	h.labelled("web", "file://webapp01.json")
	h.recorded(audit.AdmitGranted, "web")
	h.injected("web")
	h.must(h.StartTask(t.Context(), "web"))
	h.mustRedeem("web")
	h.granted("seen", "web")
}

// labelled makes the record of a container that asks by a label and by nothing
// else; ctr makes annotations of its labels.
func (h *host) labelled(id, ref string) {
	h.t.Helper()
	h.must(h.Create(h.t.Context(), containerdlab.Container{ID: "template", Shim: h.wrapper}))
	c, err := client.New(h.Address())
	h.must(err)
	defer c.Close() //nolint:errcheck // answered by then
	ctx := namespaces.WithNamespace(h.t.Context(), h.Namespace)
	record, err := c.ContainerService().Get(ctx, "template")
	h.must(err)
	record.ID, record.Labels = id, map[string]string{hook.KeyCredentialSpec: ref}
	_, err = c.ContainerService().Create(ctx, record)
	h.must(err)
}
