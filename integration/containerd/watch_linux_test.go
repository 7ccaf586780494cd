package containerd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/integration/containerdlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// withoutWrapper is a container that asks, on Debian's own shim.
func withoutWrapper(id string) containerdlab.Container {
	return containerdlab.Container{ID: id, Annotations: map[string]string{hook.KeyCredentialSpec: "file://webapp01.json"}}
}

// injected waits until the document is in containerd's record of a container.
func (h *host) injected(id string) {
	h.t.Helper()
	lab.Eventually(h.t, "the document in the record of "+id, func(context.Context) error {
		asked, err := bundle.Read(h.record(id))
		if err == nil && asked.CredentialSpec == "" {
			err = errors.New("it is not there")
		}
		return err
	})
}

func TestWithoutTheWrapperTheWatchInjectsIfItIsInTime(t *testing.T) {
	h := newHost(t, "")
	h.startAgent()
	h.must(h.Create(t.Context(), withoutWrapper("web")))
	h.must(h.Create(t.Context(), containerdlab.Container{ID: "plain"}))
	plain := string(h.record("plain"))
	h.injected("web")
	for _, id := range []string{"web", "plain"} {
		h.must(h.StartTask(t.Context(), id))
	}
	h.admitted("web")
	h.mustBeUntouched("plain")
	if got := string(h.record("plain")); got != plain {
		t.Errorf("the record of a container that does not ask became %s", got)
	}
	h.granted("web")
	h.delete("web")
	h.granted()
	if lost := h.records(audit.InjectionLost, "web"); len(lost) > 0 {
		t.Errorf("lost: %+v", lost)
	}
}

func TestALostRaceIsToldAndTheRecordIsNoProof(t *testing.T) {
	h := newHost(t, "")
	h.startAgent()
	h.freeze() // the events wait
	h.run(withoutWrapper("web"))
	h.resume()
	r := h.recorded(audit.InjectionLost, "web")
	if !strings.Contains(r.Reason, "before the admitted document was written") {
		t.Errorf("reason: %s", r.Reason)
	}
	h.injected("web") // and still
	if asked, err := bundle.Read(h.configJSON("web")); err != nil || asked.CredentialSpec != "" {
		t.Errorf("the bundle: %+v, %v", asked, err)
	}
}

func TestAContainerThatStartedBeforeTheWatchIsTold(t *testing.T) {
	h := newHost(t, "")
	h.run(withoutWrapper("web"))
	h.must(h.Create(t.Context(), withoutWrapper("waiting")))
	h.startAgent()
	if r := h.recorded(audit.InjectionLost, "web"); !strings.Contains(r.Reason, "without a credential spec in the bundle") {
		t.Errorf("reason: %s", r.Reason)
	}
	h.injected("waiting") // it has no task yet
	h.must(h.StartTask(t.Context(), "waiting"))
	h.admitted("waiting")
}

func TestATaskThatIsGoneBeforeTheWatchLooksDoesNoHarm(t *testing.T) {
	h := newHost(t, "")
	h.startAgent()
	h.freeze()
	h.run(withoutWrapper("brief"))
	h.delete("brief")
	h.resume()
	h.must(h.Create(t.Context(), withoutWrapper("web")))
	h.injected("web") // everything before has been seen
	h.granted("web")
	if lost := h.records(audit.InjectionLost, "brief"); len(lost) > 0 {
		t.Errorf("lost: %+v", lost)
	}
}

func TestTheWatchStandsBackWhereTheWrapperIsAtWork(t *testing.T) {
	h := newHost(t, "")
	h.startAgent()
	h.run(h.asking("web", "file://webapp01.json")) // admitted for both, perhaps
	h.mustRedeem("web")
	lab.Eventually(t, "the wrapper's being seen", func(ctx context.Context) error {
		s, err := h.status(ctx)
		if err == nil && (s.Hooks[0].Injects || !s.Hooks[0].Wrapper) {
			err = errors.New("the watch injects")
		}
		return err
	})
	h.run(h.asking("next", "file://webapp01.json"))
	h.admitted("next")
	if asked, err := bundle.Read(h.record("next")); err != nil || asked.CredentialSpec != "" {
		t.Errorf("the record has a document as well: %v", err)
	}
	if n := len(h.records(audit.AdmitGranted, "next")); n != 1 {
		t.Errorf("admitted %d times", n)
	}
	h.granted("next", "web")
	h.mustRedeem("web")
}
