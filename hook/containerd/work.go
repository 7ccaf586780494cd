package containerd

import (
	"sync"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// work does what is to be done for each container in order, one thing after
// another, and for different containers at once.
type work struct {
	mu     sync.Mutex
	queues map[hook.Key][]func() // an entry, even without elements, is being worked on
	wg     sync.WaitGroup
}

func newWork() *work { return &work{queues: map[hook.Key][]func(){}} }

// do has f done after what is being done for k.
func (w *work) do(k hook.Key, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if queue, busy := w.queues[k]; busy {
		w.queues[k] = append(queue, f)
		return
	}
	w.queues[k] = nil
	w.wg.Go(func() {
		for f != nil {
			f()
			f = w.next(k)
		}
	})
}

func (w *work) next(k hook.Key) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue := w.queues[k]
	if len(queue) == 0 {
		delete(w.queues, k)
		return nil
	}
	w.queues[k] = queue[1:]
	return queue[0]
}

// wait returns when all is done.
func (w *work) wait() { w.wg.Wait() }
