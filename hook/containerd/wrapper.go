package containerd

import (
	"context"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// maxAsked bounds what is remembered of the wrapper's questions. An entry goes
// when the container's task is there; what stays are containers that were
// refused, or belong to another containerd.
const maxAsked = 4096

// giving is an injection that is under way.
type giving struct {
	stop context.CancelFunc
	done chan struct{}
}

// WrapperAsked tells the watch that the shim wrapper asks for a container. The
// agent calls it for every question that it gets from a wrapper, whichever
// containerd the container belongs to, before it answers.
//
// An injection into the same container that is under way is stopped and waited
// for. A later admission ends the grant of an earlier one, so the watch's must
// not come after the wrapper's, whose document the container runs with.
func (w *Watch) WrapperAsked(k hook.Key) {
	w.mu.Lock()
	if len(w.asked) >= maxAsked {
		clear(w.asked)
	}
	w.asked[k] = struct{}{}
	g := w.giving[k]
	w.mu.Unlock()
	if g != nil {
		g.stop()
		<-g.done
	}
}

// beginGiving returns a context for the injection into a container, which the
// wrapper's question for the same container ends. Call done after it.
func (w *Watch) beginGiving(ctx context.Context, k hook.Key) (_ context.Context, done func()) {
	ctx, stop := context.WithCancel(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, asked := w.asked[k]; asked {
		stop()
		return ctx, stop
	}
	g := &giving{stop, make(chan struct{})}
	w.giving[k] = g
	return ctx, func() {
		stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.giving, k)
		close(g.done)
	}
}

// wrapperDid says whether the wrapper asked for a container whose task is now
// there. If so it is at work on this containerd.
func (w *Watch) wrapperDid(k hook.Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.asked[k]
	if ok {
		delete(w.asked, k)
		w.wrapper = true
	}
	return ok
}
