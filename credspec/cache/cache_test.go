package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

const document = credspectest.Document

// changed is another good document.
var changed = strings.ReplaceAll(document, "webapp01", "webapp02")

// origin is a source that can be down, refuse and be slow. Its tags are digests.
type origin struct {
	mu          sync.Mutex
	documents   map[string]string // by what follows the scheme
	err         error
	wait        chan struct{} // if it is set, answers wait until it is closed
	panics      bool
	requests    int
	transferred int // documents
}

func newOrigin() *origin { return &origin{documents: map[string]string{"web": document}} }

func (o *origin) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

func (o *origin) put(name, document string) { o.set(func() { o.documents[name] = document }) }

func (o *origin) fail(err error) { o.set(func() { o.err = err }) }

func (o *origin) counts() (requests, transferred int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.requests, o.transferred
}

func (o *origin) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	return o.Revalidate(ctx, ref, "")
}

func (o *origin) Revalidate(ctx context.Context, ref credspec.Ref, tag string) (credspec.Document, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests++
	document, there := o.documents[ref.Rest]
	err, wait := o.err, o.wait
	if wait != nil {
		o.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			err = ctx.Err()
		}
		o.mu.Lock()
	}
	switch {
	case o.panics:
		panic("canary of an SDK")
	case err != nil:
		return credspec.Document{}, err
	case !there:
		return credspec.Document{}, fmt.Errorf("bucket/%s: %w", ref.Rest, fault.ErrNotFound)
	}
	is := credspec.Digest([]byte(document))
	if tag == is {
		return credspec.Document{}, credspec.ErrUnchanged
	}
	o.transferred++
	return credspec.Document{Data: []byte(document), Origin: "bucket/" + ref.Rest, Tag: is}, nil
}

var errDown = fmt.Errorf("bucket.example: connection refused: %w", fault.ErrUnavailable)

// world is a cache in front of an origin.
type world struct {
	t testing.TB
	*Cache
	*origin
	dir    string
	limits Limits
	mux    *credspec.Mux
	logs   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, origin: newOrigin(), dir: filepath.Join(t.TempDir(), "cache"), limits: Limits{Fresh: 30 * time.Second, Stale: 72 * time.Hour}, logs: &lockedBuffer{}}
	skipUnlessAdministrator(t)
	w.open()
	t.Cleanup(func() { w.close() })
	return w
}

// open opens the cache anew, as a started agent does.
func (w *world) open() {
	w.Cache = Open(w.dir, slog.New(slog.NewTextHandler(w.logs, nil)))
	w.configure()
}

func (w *world) close() {
	w.t.Helper()
	if err := w.Close(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) restart() {
	w.t.Helper()
	w.close()
	w.open()
}

// configure puts the cache in front of the origin anew, as a changed
// configuration does.
func (w *world) configure() {
	w.mux = credspec.NewMux(map[string]credspec.Source{"s3": w.Front(w.origin, w.limits)})
}

func ref(name string) credspec.Ref { return credspec.Ref{Scheme: "s3", Rest: name} }

func pinned(name, document string) credspec.Ref {
	r := ref(name)
	r.SHA256 = credspec.Digest([]byte(document))
	return r
}

// want resolves web and compares what came, and how many requests there were
// until now.
func (w *world) want(document string, stale bool, requests int) credspec.Document {
	w.t.Helper()
	doc, err := w.mux.Resolve(w.t.Context(), ref("web"))
	if err != nil {
		w.t.Fatal(err)
	}
	if string(doc.Data) != document {
		w.t.Errorf("another document: %v", doc)
	}
	if (doc.Stale != nil) != stale {
		w.t.Errorf("stale: %v, want it: %v", doc.Stale, stale)
	}
	w.wantRequests(requests)
	return doc
}

func (w *world) wantRequests(n int) {
	w.t.Helper()
	if requests, _ := w.counts(); requests != n {
		w.t.Errorf("%d requests, want %d", requests, n)
	}
}

func (w *world) wantError(kind error, says ...string) {
	w.t.Helper()
	_, err := w.mux.Resolve(w.t.Context(), ref("web"))
	if !errors.Is(err, kind) {
		w.t.Fatalf("error %v, want %v", err, kind)
	}
	for _, s := range append(says, "s3://web") {
		if !strings.Contains(err.Error(), s) {
			w.t.Errorf("error %q does not say %q", err, s)
		}
	}
}

func TestASourceBehindTheCacheIsAsGoodAsASource(t *testing.T) {
	credspectest.Run(t, func(t *testing.T) credspectest.Fixture {
		w := newWorld(t)
		return credspectest.Fixture{
			Source: w.Front(w.origin, Limits{}),
			Put: func(_ *testing.T, name string, data []byte) credspec.Ref {
				w.put(name, string(data))
				return ref(name)
			},
			Missing: ref("missing"),
		}
	})
}

func TestAFreshDocumentIsUsedWithoutARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		start := time.Now()
		w.want(document, false, 1)
		time.Sleep(w.limits.Fresh - 1)
		doc := w.want(document, false, 1)
		if !doc.Confirmed.Equal(start) || doc.Digest != credspec.Digest([]byte(document)) || doc.Origin != "bucket/web" {
			t.Errorf("%+v", doc)
		}
	})
}

func TestTheNextUseAfterThatRevalidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		time.Sleep(w.limits.Fresh)
		again := time.Now()
		if doc := w.want(document, false, 2); !doc.Confirmed.Equal(again) {
			t.Errorf("confirmed %v, want %v", doc.Confirmed, again)
		}
		if _, transferred := w.counts(); transferred != 1 {
			t.Errorf("an unchanged document was transferred %d times", transferred)
		}
		time.Sleep(w.limits.Fresh - 1)
		w.want(document, false, 2)
		w.put("web", changed)
		time.Sleep(time.Nanosecond)
		w.want(changed, false, 3)
	})
}

func TestADocumentThatNobodyUsesIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		time.Sleep(30 * 24 * time.Hour)
		w.wantRequests(1)
	})
}

func TestAFreshTimeOfZeroAsksEveryTime(t *testing.T) {
	w := newWorld(t)
	w.limits.Fresh = 0
	w.configure()
	w.want(document, false, 1)
	w.want(document, false, 2)
	w.put("web", changed)
	w.want(changed, false, 3)
}

func TestAFreshDocumentIsNotEnoughForWhoMustRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		ask := func(want string, requests int) {
			t.Helper()
			doc, err := w.mux.Resolve(credspec.Revalidated(t.Context()), ref("web"))
			if err != nil || string(doc.Data) != want {
				t.Errorf("%v, %v", doc, err)
			}
			w.wantRequests(requests)
		}
		ask(document, 2)
		if _, transferred := w.counts(); transferred != 1 {
			t.Errorf("an unchanged document was transferred %d times", transferred)
		}
		w.put("web", changed)
		ask(changed, 3)
		w.want(changed, false, 3)
		// While the source is down a moment's pause is everybody's.
		w.fail(errDown)
		ask(changed, 4)
		ask(changed, 4)
	})
}

// What took off before somebody asked may bring what was there before.
func TestWhoMustRevalidateDoesNotTakeTheAnswerToAnEarlierRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		landing := make(chan struct{})
		w.set(func() { w.wait = landing })
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = w.mux.Resolve(t.Context(), ref("web"))
		}()
		synctest.Wait() // it has read the document and holds it
		w.put("web", changed)
		answer := make(chan string)
		go func() {
			doc, _ := w.mux.Resolve(credspec.Revalidated(t.Context()), ref("web"))
			answer <- string(doc.Data)
		}()
		synctest.Wait()
		w.set(func() { w.wait = nil })
		close(landing)
		if got := <-answer; got != changed {
			t.Errorf("it got what was there before it asked: %.40s", got)
		}
		<-done
	})
}

func TestASourceWithoutTagsIsAskedAnew(t *testing.T) {
	w := newWorld(t)
	w.limits.Fresh = 0
	untagged := sourceFunc(func(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
		doc, err := w.Resolve(ctx, ref)
		doc.Tag = ""
		return doc, err
	})
	w.mux = credspec.NewMux(map[string]credspec.Source{"s3": w.Front(untagged, w.limits)})
	w.want(document, false, 1)
	w.want(document, false, 2)
	if _, transferred := w.counts(); transferred != 2 {
		t.Errorf("%d transferred", transferred)
	}
}

type sourceFunc func(context.Context, credspec.Ref) (credspec.Document, error)

func (f sourceFunc) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	return f(ctx, ref)
}

func TestCallersDoNotShareTheirBytes(t *testing.T) {
	w := newWorld(t)
	clear(w.want(document, false, 1).Data)
	clear(w.want(document, false, 1).Data)
	w.want(document, false, 1)
}

func TestAThousandAtOnceMakeOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for round := range 3 { // cold; to be revalidated; down
			gate := make(chan struct{})
			w.set(func() { w.wait = gate })
			if round == 2 {
				w.fail(errDown)
			}
			var wg sync.WaitGroup
			for range 1000 {
				wg.Go(func() {
					doc, err := w.mux.Resolve(t.Context(), ref("web"))
					if err != nil || string(doc.Data) != document || (doc.Stale != nil) != (round == 2) {
						t.Errorf("%v, %v", doc, err)
					}
				})
			}
			synctest.Wait()
			close(gate)
			wg.Wait()
			w.wantRequests(round + 1)
			time.Sleep(w.limits.Fresh)
		}
	})
}

func TestACallerWhoLeavesDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gate := make(chan struct{})
		w.set(func() { w.wait = gate })
		ctx, cancel := context.WithCancel(t.Context())
		gone, stays := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := w.mux.Resolve(ctx, ref("web"))
			gone <- err
		}()
		synctest.Wait()
		go func() {
			_, err := w.mux.Resolve(t.Context(), ref("web"))
			stays <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) || !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("who left got %v", err)
		}
		close(gate)
		if err := <-stays; err != nil {
			t.Errorf("who stayed got %v", err)
		}
		w.wantRequests(1)
	})
}

func TestWhatNobodyWaitedForServesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gate := make(chan struct{})
		w.set(func() { w.wait = gate })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.mux.Resolve(ctx, ref("web")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(gate)
		synctest.Wait()
		w.want(document, false, 1)
	})
}

func TestAPanicOfASourceIsAnAnswerToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gate := make(chan struct{})
		w.set(func() { w.wait, w.panics = gate, true })
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				_, err := w.mux.Resolve(t.Context(), ref("web"))
				if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "panic") || strings.Contains(err.Error(), "canary") {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		wg.Wait()
		w.wantRequests(1)
		w.set(func() { w.panics = false })
		w.want(document, false, 2)
	})
}

func TestTooManyRequestsAtOnceAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		time.Sleep(w.limits.Fresh)
		gate := make(chan struct{})
		w.set(func() { w.wait = gate })
		var wg sync.WaitGroup
		for i := range maxFlights {
			name := fmt.Sprint("x", i)
			w.put(name, document)
			wg.Go(func() {
				if _, err := w.mux.Resolve(t.Context(), ref(name)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := w.mux.Resolve(t.Context(), ref("one-more")); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "under way") {
			t.Errorf("got %v", err)
		}
		w.want(document, true, maxFlights+1) // rather than nothing
		close(gate)
		wg.Wait()
		w.want(document, false, maxFlights+2)
	})
}

// A source that hangs must not keep containers from another one.
func TestRequestsToOneSourceLeaveRoomForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := newOrigin()
		gate := make(chan struct{})
		slow.wait = gate
		hangs := w.Front(slow, w.limits)
		var wg sync.WaitGroup
		for i := range maxFlights {
			name := fmt.Sprint("x", i)
			slow.put(name, document)
			wg.Go(func() {
				if _, err := hangs.Resolve(t.Context(), credspec.Ref{Scheme: "https", Rest: name}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		w.want(document, false, 1)
		close(gate)
		wg.Wait()
	})
}

// restricted is an origin that is configured for some references only.
type restricted struct {
	*origin
	only string
}

func (r restricted) Admit(ref credspec.Ref) error {
	if ref.Rest != r.only {
		return fmt.Errorf("bucket/%s is not configured: %w", ref.Rest, fault.ErrDenied)
	}
	return nil
}

func TestWhatTheConfigurationRefusesIsNotAnsweredFromTheCache(t *testing.T) {
	w := newWorld(t)
	w.want(document, false, 1)
	w.mux = credspec.NewMux(map[string]credspec.Source{"s3": w.Front(restricted{w.origin, "other"}, w.limits)})
	for _, ref := range []credspec.Ref{ref("web"), pinned("web", document)} {
		if _, err := w.mux.Resolve(t.Context(), ref); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("%v: %v, want fault.ErrDenied", ref, err)
		}
	}
	w.wantRequests(1)
	w.mux = credspec.NewMux(map[string]credspec.Source{"s3": w.Front(restricted{w.origin, "web"}, w.limits)})
	if _, err := w.mux.Resolve(t.Context(), pinned("web", document)); err != nil {
		t.Error(err)
	}
	w.wantRequests(1)
}

func TestAPinnedDocumentThatIsCachedNeedsNoRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		w.fail(errDown)
		time.Sleep(100 * 24 * time.Hour)
		for range 2 {
			doc, err := w.mux.Resolve(t.Context(), pinned("web", document))
			if err != nil || string(doc.Data) != document || doc.Stale != nil {
				t.Errorf("%v, %v", doc, err)
			}
			w.wantRequests(1)
			w.restart()
		}
	})
}

func TestAnotherPinIsAskedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		if _, err := w.mux.Resolve(t.Context(), pinned("web", changed)); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("got %v", err)
		}
		w.wantRequests(2)
		w.put("web", changed)
		if doc, err := w.mux.Resolve(t.Context(), pinned("web", changed)); err != nil || string(doc.Data) != changed {
			t.Errorf("%v, %v", doc, err)
		}
		w.want(changed, false, 3) // the same reference, with or without a pin
		w.fail(errDown)
		_, err := w.mux.Resolve(t.Context(), pinned("web", document))
		if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "pinned") {
			t.Errorf("source down: %v", err)
		}
	})
}

func TestAPinIsNotComparedWithAnAnswerFromBeforeTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gate := make(chan struct{})
		w.set(func() { w.wait = gate })
		done := make(chan error, 1)
		go func() {
			_, err := w.mux.Resolve(t.Context(), ref("web"))
			done <- err
		}()
		synctest.Wait()
		w.put("web", changed)
		w.set(func() { w.wait = nil })
		second := make(chan error, 1)
		go func() {
			_, err := w.mux.Resolve(t.Context(), pinned("web", changed))
			second <- err
		}()
		synctest.Wait()
		close(gate)
		if err := errors.Join(<-done, <-second); err != nil {
			t.Error(err)
		}
	})
}

func TestASourceThatIsDownIsAnsweredForAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		start := time.Now()
		w.want(document, false, 1)
		w.fail(errDown)
		time.Sleep(w.limits.Fresh)
		doc := w.want(document, true, 2)
		if !errors.Is(doc.Stale, errDown) || !doc.Confirmed.Equal(start) {
			t.Errorf("stale %v, confirmed %v", doc.Stale, doc.Confirmed)
		}
		if s := w.Stats(); len(s.Documents) != 1 || s.Documents[0].Stale != errDown.Error() || s.Documents[0].Age != w.limits.Fresh {
			t.Errorf("%+v", s)
		}
		// For a while nobody waits for it.
		time.Sleep(Pause - 1)
		w.want(document, true, 2)
		time.Sleep(time.Nanosecond)
		w.want(document, true, 3)
		w.fail(nil)
		time.Sleep(Pause)
		w.want(document, false, 4)
		if s := w.Stats(); s.Documents[0].Stale != "" || s.Stale != 3 {
			t.Errorf("%+v", s)
		}
	})
}

func TestADocumentIsServedStaleForItsTimeAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		w.fail(errDown)
		time.Sleep(w.limits.Stale)
		w.want(document, true, 2)
		time.Sleep(time.Nanosecond)
		w.wantError(fault.ErrUnavailable, "bucket.example", "confirmed 72h0m0s ago", "72h")
		w.wantError(fault.ErrUnavailable)
		w.wantRequests(4) // there is nothing to answer with: it is asked
		w.fail(nil)
		w.want(document, false, 5)
	})
}

func TestAStaleTimeOfZeroIsNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.limits.Stale = 0
		w.configure()
		w.want(document, false, 1)
		w.want(document, false, 1)
		time.Sleep(w.limits.Fresh)
		w.fail(errDown)
		w.wantError(fault.ErrUnavailable, "bucket.example")
	})
}

func TestWithoutADocumentASourceThatIsDownIsNamed(t *testing.T) {
	w := newWorld(t)
	w.fail(errDown)
	w.wantError(fault.ErrUnavailable, "bucket.example", "connection refused", "no document of it is cached")
	w.wantError(fault.ErrUnavailable)
	w.wantRequests(2)
}

func TestASourcesWordIsTaken(t *testing.T) {
	for name, err := range map[string]error{
		"not found": fmt.Errorf("bucket/web: %w", fault.ErrNotFound),
		"denied":    fmt.Errorf("bucket: 403: %w", fault.ErrDenied),
		"malformed": fmt.Errorf("bucket/web: too long: %w", fault.ErrMalformed),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.want(document, false, 1)
				time.Sleep(w.limits.Fresh)
				w.fail(err)
				w.wantError(err)
				// The document is gone for good, whatever happens next.
				w.fail(errDown)
				w.wantError(fault.ErrUnavailable, "no document of it is cached")
				w.restart()
				w.wantError(fault.ErrUnavailable, "no document of it is cached")
			})
		})
	}
}

func TestAnInvalidDocumentIsPassedOnAndNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		time.Sleep(w.limits.Fresh)
		for i, bad := range []string{`{"CmsPlugins": []}`, "no JSON", strings.Replace(document, "S-1-5-21", "S-1-5", 1)} {
			w.put("web", bad)
			w.want(bad, false, 2+i)
		}
		w.fail(errDown)
		w.wantError(fault.ErrUnavailable, "no document of it is cached")
		if s := w.Stats(); s.Entries != 0 || len(s.Documents) != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWhatIsNotConfiguredIsNoWordOfTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		time.Sleep(w.limits.Fresh)
		w.fail(fmt.Errorf("no credentials are configured: %w", errors.ErrUnsupported))
		w.wantError(errors.ErrUnsupported)
		w.fail(nil)
		w.want(document, false, 3)
		if _, transferred := w.counts(); transferred != 1 {
			t.Error("the document was dropped")
		}
	})
}

func TestAnAnswerToAQuestionThatWasNotAskedIsNone(t *testing.T) {
	w := newWorld(t)
	w.fail(credspec.ErrUnchanged)
	w.wantError(fault.ErrUnavailable)
}

func TestAChangedConfigurationAsksBeforeItUses(t *testing.T) {
	w := newWorld(t)
	w.want(document, false, 1)
	w.configure()
	w.want(document, false, 2)
	w.want(document, false, 2)
	w.configure()
	w.fail(errDown)
	w.want(document, true, 3)
	w.configure() // perhaps it is down because of its configuration
	w.want(document, true, 4)
}

func TestARequestFromBeforeAChangeDoesNotSpeakForAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		gate := make(chan struct{})
		w.set(func() { w.wait = gate })
		before := w.mux
		done := make(chan error, 1)
		go func() {
			doc, err := before.Resolve(t.Context(), ref("web"))
			if string(doc.Data) != document {
				t.Error("another document")
			}
			done <- err
		}()
		synctest.Wait()
		w.configure()
		w.put("web", changed)
		w.set(func() { w.wait = nil })
		w.want(changed, false, 2)
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.want(changed, false, 2)
	})
}

func TestRequestsAreCountedBySource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.want(document, false, 1)
		at := time.Now()
		time.Sleep(w.limits.Fresh)
		w.want(document, false, 2)
		w.fail(errDown)
		time.Sleep(w.limits.Fresh)
		w.want(document, true, 3)
		s := w.Stats()
		got := s.Sources["s3"]
		if got.Requests != 3 || got.Failures != 1 || got.LastError != errDown.Error() ||
			!got.LastSuccess.Equal(at.Add(w.limits.Fresh)) || !got.LastFailure.Equal(at.Add(2*w.limits.Fresh)) {
			t.Errorf("%+v", got)
		}
		if s.Entries != 1 || s.Hits != 0 || s.Misses != 3 || s.Stale != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestASourceOfThisHostIsCountedAndNotCached(t *testing.T) {
	w := newWorld(t)
	files := w.Count(w.origin)
	for range 2 {
		if _, err := files.Resolve(t.Context(), credspec.Ref{Scheme: "file", Rest: "web"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := files.Resolve(t.Context(), credspec.Ref{Scheme: "file", Rest: "missing"}); !errors.Is(err, fault.ErrNotFound) {
		t.Error(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	w.fail(context.Canceled)
	if _, err := files.Resolve(canceled, credspec.Ref{Scheme: "file", Rest: "web"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	s := w.Stats()
	if got := s.Sources["file"]; got.Requests != 3 || got.Failures != 1 || s.Entries != 0 {
		t.Errorf("%+v", s)
	}
}
