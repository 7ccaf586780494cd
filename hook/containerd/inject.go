package containerd

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"github.com/containerd/containerd/api/services/containers/v1"
	ns "github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
)

// documentHash is the SHA-256 of a document: the document itself carries the
// grant's token and is not kept.
type documentHash [sha256.Size]byte

// factsOf returns what containerd's record of a container says.
func factsOf(k hook.Key, c *containers.Container) (hook.Facts, error) {
	asked, err := bundle.Read(c.GetSpec().GetValue())
	return hook.Facts{
		Key:            k,
		Image:          c.GetImage(),
		Labels:         c.GetLabels(),
		Annotations:    asked.Annotations,
		CredentialSpec: asked.CredentialSpec,
	}, err
}

// injects says whether it is the watch that gives a container its document.
func (w *Watch) injects(facts hook.Facts) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.injectsLocked() {
		return true
	}
	facts.Labels = nil
	_, wrapperSees := facts.Ask()
	return w.cfg.Inject == InjectAuto && !wrapperSees
}

func (s *session) get(ctx context.Context, k hook.Key) (*containers.Container, error) {
	ctx, cancel := context.WithTimeout(ns.WithNamespace(ctx, k.Namespace), callTimeout)
	defer cancel()
	answer, err := s.containers.Get(ctx, &containers.GetContainerRequest{ID: k.ID})
	return answer.GetContainer(), err
}

// prepare admits a container that asks and writes its document into containerd's
// record of it, from which its bundle will be made. It is a race against the
// creation of the task, so nothing is done here that is not needed: one read, the
// admission, one write.
func (s *session) prepare(ctx context.Context, k hook.Key) {
	w := s.watch
	container, err := s.get(ctx, k)
	if err != nil {
		if status.Code(err) != codes.NotFound && ctx.Err() == nil {
			w.log.Warn("a new container cannot be read", "container", k, "error", err)
		}
		return
	}
	facts, err := factsOf(k, container)
	if err != nil {
		return // no runtime can read it either
	}
	if _, asks := facts.Ask(); !asks || !w.injects(facts) {
		return
	}
	ctx, done := w.beginGiving(ctx, k)
	defer done()
	admission, err := w.admit(ctx, facts)
	if err != nil {
		if ctx.Err() == nil {
			w.log.Warn("a container is not given a gMSA", "container", k, "error", err)
		}
		return
	}
	if err := s.update(ctx, k, container, admission.Document); err != nil && status.Code(err) != codes.NotFound && ctx.Err() == nil {
		w.log.Warn("a container's admitted document cannot be written", "container", k, "error", err)
	}
}

// update writes the document into the record. A client that changes the spec in
// the same instant loses its change: containerd has no update that depends on
// what was read.
func (s *session) update(ctx context.Context, k hook.Key, container *containers.Container, document []byte) error {
	spec, err := bundle.SetCredentialSpec(container.GetSpec().GetValue(), document)
	if err != nil {
		return err
	}
	container.Spec = &anypb.Any{TypeUrl: container.GetSpec().GetTypeUrl(), Value: spec}
	s.watch.give(k, document)
	ctx, cancel := context.WithTimeout(ns.WithNamespace(ctx, k.Namespace), callTimeout)
	defer cancel()
	_, err = s.containers.Update(ctx, &containers.UpdateContainerRequest{
		Container:  container,
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"spec"}},
	})
	return err
}

// check looks into the bundle of a container's task, and reports a container that
// asks and whose bundle does not hold the document it was admitted with.
func (s *session) check(ctx context.Context, k hook.Key, folder string) {
	w := s.watch
	if w.wrapperDid(k) {
		s.follow(ctx, k, folder)
		return
	}
	file, err := bundle.Open(folder)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // else the task is gone again
			w.log.Warn("a container's bundle cannot be read", "container", k, "error", err)
		}
		return
	}
	facts := hook.Facts{Key: k, Annotations: file.Annotations, Bundle: folder, CredentialSpec: file.CredentialSpec}
	if container, err := s.get(ctx, k); err == nil {
		facts.Image, facts.Labels = container.GetImage(), container.GetLabels()
	}
	if _, asks := facts.Ask(); !asks {
		return
	}
	reason := w.missing(ctx, facts)
	if reason == "" || ctx.Err() != nil {
		return
	}
	w.lost()
	if err := w.tracker.Lost(ctx, k, reason); err != nil {
		w.log.Error("a container that runs without its gMSA could not be reported", "container", k, "error", err)
	}
}

// follow makes the record hold the document that the wrapper put into the bundle,
// if the watch has put one into the record: the wrapper's admission came later
// and has ended the watch's grant.
func (s *session) follow(ctx context.Context, k hook.Key, folder string) {
	if !s.watch.gave(k) {
		return
	}
	file, err := bundle.Open(folder)
	if err != nil {
		return
	}
	container, err := s.get(ctx, k)
	if err == nil {
		err = s.update(ctx, k, container, []byte(file.CredentialSpec))
	}
	if err != nil && status.Code(err) != codes.NotFound && ctx.Err() == nil {
		s.watch.log.Warn("a container's record could not be brought in line with its bundle", "container", k, "error", err)
	}
}

// missing returns in which way the bundle, which the facts are from, does not
// hold the admitted document; empty if it does.
func (w *Watch) missing(ctx context.Context, facts hook.Facts) string {
	w.mu.Lock()
	given, known := w.given[facts.Key]
	w.mu.Unlock()
	switch {
	case known && given == sha256.Sum256([]byte(facts.CredentialSpec)):
		return ""
	case known:
		return "its task was created before the admitted document was written into the container's record"
	case facts.CredentialSpec == "":
		return "its task was created without a credential spec in the bundle"
	}
	// The watch did not inject it, or in an earlier life.
	if err := w.admitter.Admitted(ctx, facts); err != nil {
		return fmt.Sprintf("its task was created with a credential spec that is not admitted: %v", err)
	}
	return ""
}

// admit asks the agent, in its turn.
func (w *Watch) admit(ctx context.Context, facts hook.Facts) (hook.Admission, error) {
	select {
	case w.admits <- struct{}{}:
	case <-ctx.Done():
		return hook.Admission{}, ctx.Err()
	}
	defer func() { <-w.admits }()
	if err := ctx.Err(); err != nil {
		return hook.Admission{}, err
	}
	return w.admitter.Admit(ctx, facts)
}

func (w *Watch) gave(k hook.Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.given[k]
	return ok
}

func (w *Watch) give(k hook.Key, document []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.given[k] = sha256.Sum256(document)
}

// lost notes that a container got past the wrapper, if there is one: the watch
// does its work again.
func (w *Watch) lost() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrapper = false
}

// keepGiven forgets what was injected into containers that are gone.
func (w *Watch) keepGiven(keys []hook.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	given := make(map[hook.Key]documentHash, len(w.given))
	for _, k := range keys {
		if h, ok := w.given[k]; ok {
			given[k] = h
		}
	}
	w.given = given
}
