package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	ns "github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// listTimeout bounds the listing of one namespace's containers: 5,000 of them
// with specs of 30 KB take some seconds.
const listTimeout = time.Minute

// reconcile reports all containers of all namespaces to the tracker, and makes
// up for what happened to those that ask while the watch was not there.
func (s *session) reconcile(ctx context.Context) error {
	w := s.watch
	mark := w.tracker.Mark() // before the listing: what is newer may be missing in it
	all, err := s.listNamespaces(ctx)
	if err != nil {
		return fmt.Errorf("list namespaces: %w", err)
	}
	var keys, asking []hook.Key
	for _, namespace := range all {
		err := s.eachContainer(ctx, namespace, func(c *containers.Container) {
			if c.GetID() == "" {
				return
			}
			k := hook.Key{Runtime: Runtime, Namespace: namespace, ID: c.GetID()}
			keys = append(keys, k)
			if !w.covers(namespace) {
				return
			}
			if facts, err := factsOf(k, c); err == nil {
				if _, asks := facts.Ask(); asks {
					asking = append(asking, k)
				}
			}
		})
		if err != nil {
			return fmt.Errorf("list the containers of namespace %s: %w", namespace, err)
		}
	}
	if err := w.tracker.Live(ctx, Runtime, mark, keys); err != nil {
		return fmt.Errorf("report the containers: %w", err)
	}
	w.keepGiven(keys)
	for _, k := range asking {
		s.work.do(k, func() { s.adopt(ctx, k) })
	}
	return nil
}

// adopt treats a container that was there before as its events would have.
func (s *session) adopt(ctx context.Context, k hook.Key) {
	call, cancel := context.WithTimeout(ns.WithNamespace(ctx, k.Namespace), callTimeout)
	defer cancel()
	_, err := s.tasks.Get(call, &tasks.GetRequest{ContainerID: k.ID})
	switch {
	case err == nil:
		s.check(ctx, k, s.watch.bundleOf(k))
	case status.Code(err) != codes.NotFound:
		if ctx.Err() == nil {
			s.watch.log.Warn("whether a container has a task cannot be found out", "container", k, "error", err)
		}
	case s.watch.admitter.Holds(k):
		// The wrapper has its document and is about to put it into the bundle,
		// which is not to be seen yet. (Or an earlier watch was killed before it
		// could write the document: that is seen when the task is there.)
	default:
		s.prepare(ctx, k)
	}
}

func (s *session) listNamespaces(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.namespaces.List(ctx, &namespaces.ListNamespacesRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range answer.GetNamespaces() {
		names = append(names, n.GetName())
	}
	return names, nil
}

// eachContainer calls visit for every container of a namespace; one that was
// deleted meanwhile has none. Only one container is in memory at a time.
func (s *session) eachContainer(ctx context.Context, namespace string, visit func(*containers.Container)) error {
	ctx, cancel := context.WithTimeout(ns.WithNamespace(ctx, namespace), listTimeout)
	defer cancel()
	stream, err := s.containers.ListStream(ctx, &containers.ListContainersRequest{})
	for err == nil {
		var message *containers.ListContainerMessage
		if message, err = stream.Recv(); err == nil {
			visit(message.GetContainer())
		}
	}
	if errors.Is(err, io.EOF) || status.Code(err) == codes.NotFound {
		return nil
	}
	return err
}
