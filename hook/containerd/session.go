package containerd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/api/services/containers/v1"
	"github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/services/namespaces/v1"
	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	ns "github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// callTimeout bounds one call of containerd's API. The slowest that was measured,
// the update of a container beside heavy writing, took 0.1 s.
const callTimeout = 10 * time.Second

// A session is one connection to containerd.
type session struct {
	watch      *Watch
	containers containers.ContainersClient
	events     events.EventsClient
	namespaces namespaces.NamespacesClient
	tasks      tasks.TasksClient

	work   *work
	listed atomic.Bool
	// relist asks for the containers to be listed again, for what an event
	// should have said and did not.
	relist chan struct{}
}

func newSession(w *Watch, conn *grpc.ClientConn) *session {
	return &session{
		watch:      w,
		containers: containers.NewContainersClient(conn),
		events:     events.NewEventsClient(conn),
		namespaces: namespaces.NewNamespacesClient(conn),
		tasks:      tasks.NewTasksClient(conn),
		work:       newWork(),
		relist:     make(chan struct{}, 1),
	}
}

// run follows the events until something ends the connection, which is given to end.
func (s *session) run(ctx context.Context, end context.CancelCauseFunc) {
	stream, err := s.events.Subscribe(ctx, &events.SubscribeRequest{Filters: filters})
	if err != nil {
		end(err)
		return
	}
	var others sync.WaitGroup
	defer others.Wait()
	delivers := make(chan struct{})
	others.Go(func() {
		if err := s.knock(ctx, delivers); err != nil {
			end(err)
		}
	})
	others.Go(func() {
		if err := s.list(ctx, delivers); err != nil {
			end(err)
		}
	})
	knocking := true
	for {
		envelope, err := stream.Recv()
		if err != nil {
			end(err)
			return
		}
		if envelope.GetTopic() != topicKnock {
			s.handle(ctx, envelope)
		} else if knocking {
			knocking = false
			close(delivers)
		}
	}
}

// How often and how long it is tried to get an event of one's own back.
const (
	knockInterval = 50 * time.Millisecond
	knockTimeout  = 10 * time.Second
)

// knock publishes an event for this watch's own subscription until it comes
// back. A subscription begins at some time after the call that asked for it
// returned, and says nothing when it does. What would happen between the listing
// of containers and that moment would be lost.
func (s *session) knock(ctx context.Context, delivers <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ns.WithNamespace(ctx, ns.Default), knockTimeout)
	defer cancel()
	event, err := anypb.New(&emptypb.Empty{})
	if err != nil {
		return err
	}
	tick := time.NewTicker(knockInterval)
	defer tick.Stop()
	for {
		if _, err := s.events.Publish(ctx, &events.PublishRequest{Topic: topicKnock, Event: event}); err != nil {
			return fmt.Errorf("publish an event: %w", err)
		}
		select {
		case <-delivers:
			return nil
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("no events arrive from containerd: %w", ctx.Err())
		}
	}
}

// list reports the containers that exist once the subscription delivers, and
// again whenever that is asked for.
func (s *session) list(ctx context.Context, delivers <-chan struct{}) error {
	select {
	case <-delivers:
	case <-ctx.Done():
		return nil
	}
	for {
		if err := s.reconcile(ctx); err != nil {
			return err
		}
		s.listed.Store(true)
		s.watch.setConnected(true, nil)
		select {
		case <-s.relist:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *session) listAgain() {
	select {
	case s.relist <- struct{}{}:
	default: // is asked for already
	}
}

// handle does what an event calls for. What concerns one container is done in
// order, and different containers do not wait for each other.
func (s *session) handle(ctx context.Context, envelope *types.Envelope) {
	w := s.watch
	key := hook.Key{Runtime: Runtime, Namespace: envelope.GetNamespace()}
	e, err := decode(envelope)
	if err != nil {
		// It may have been the end of a container.
		w.log.Warn("an event of containerd cannot be read; listing containers instead", "topic", envelope.GetTopic(), "error", err)
		s.listAgain()
		return
	}
	key.ID = e.container
	switch {
	case e.kind == deleted:
		s.work.do(key, func() { s.ended(ctx, key, envelope.GetTimestamp().AsTime()) })
	case !w.covers(key.Namespace):
	case e.kind == created:
		s.work.do(key, func() { s.prepare(ctx, key) })
	case e.kind == started:
		s.work.do(key, func() { s.check(ctx, key, e.bundle) })
	}
}

func (s *session) ended(ctx context.Context, k hook.Key, at time.Time) {
	s.watch.forget(k)
	if err := s.watch.tracker.Ended(ctx, k, at, "the container was deleted"); err != nil {
		s.watch.log.Error("the end of a container could not be noted; listing containers again", "container", k, "error", err)
		s.listAgain()
	}
}
