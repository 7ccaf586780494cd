package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	eventsapi "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

const (
	asksByAnnotation = `{"annotations":{"gmsa-agent/credential-spec":"file://web.json"},"windows":{"x":1.50}}`
	asksNot          = `{"windows":{"x":1.50}}`
)

var asksByLabel = map[string]string{hook.KeyCredentialSpec: "file://web.json"}

func key(id string) hook.Key { return hook.Key{Runtime: Runtime, Namespace: "default", ID: id} }

// given is a config.json with the document that the recorder admits the container with.
func given(config, id string) string {
	s := fmt.Sprintf(`,"credentialSpec":"{\"admitted\":\"%s\"}"`, id)
	return strings.Replace(config, `1.50`, `1.50`+s, 1)
}

// watch starts a watch of f.
func watch(t *testing.T, f *fake, r *recorder, cfg Config) *Watch {
	t.Helper()
	w := New(cfg, r, r, slog.New(slog.DiscardHandler))
	w.dial = f.dial
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

func connected(t *testing.T, w *Watch) {
	t.Helper()
	eventually(t, func() error {
		if s := w.Status(); !s.Connected {
			return fmt.Errorf("not connected: %+v", s)
		}
		return nil
	})
}

func bundleWith(t *testing.T, config string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestContainersAreListedOnlyOnceTheSubscriptionDelivers(t *testing.T) {
	f, r := newFake(t), &recorder{}
	f.put(key("a"), asksNot, nil)
	f.put(hook.Key{Runtime: Runtime, Namespace: "k8s.io", ID: "b"}, asksNot, nil)
	f.deaf = 3
	f.onList = func() {
		f.set(func(f *fake) {
			if f.deaf > 0 {
				t.Error("listed although no event had come back")
			}
		})
		r.add("list")
	}
	connected(t, watch(t, f, r, Config{}))
	want := []string{"mark 1", "list", "list", "live containerd 1 [default/a k8s.io/b]"}
	if got := r.all(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheEndOfAContainerIsReportedInEveryNamespace(t *testing.T) {
	f, r := newFake(t), &recorder{}
	connected(t, watch(t, f, r, Config{Namespaces: []string{"k8s.io"}, Inject: InjectNever}))
	f.emit(t, key("a"), topicDelete, &eventsapi.ContainerDelete{ID: "a"})
	r.wait(t, 1, "ended containerd/default/a")
}

func TestAContainerThatAsksIsGivenItsDocumentAndOthersAreLeftAlone(t *testing.T) {
	f, r := newFake(t), &recorder{}
	w := watch(t, f, r, Config{Namespaces: []string{"default"}})
	connected(t, w)
	elsewhere := hook.Key{Runtime: Runtime, Namespace: "other", ID: "d"}
	f.put(key("a"), asksByAnnotation, nil)
	f.put(key("b"), asksNot, asksByLabel)
	f.put(key("c"), asksNot, nil)
	f.put(elsewhere, asksByAnnotation, nil)
	for _, k := range []hook.Key{key("c"), elsewhere, key("a"), key("b"), key("missing")} {
		f.emit(t, k, topicCreate, &eventsapi.ContainerCreate{ID: k.ID})
		f.emit(t, k, topicDelete, &eventsapi.ContainerDelete{ID: k.ID})
		r.wait(t, 1, "ended "+k.String()) // what came before is done
	}
	for k, want := range map[hook.Key]string{
		key("a"): given(asksByAnnotation, "a"), key("b"): given(asksNot, "b"), key("c"): asksNot, elsewhere: asksByAnnotation,
	} {
		if got := f.spec(k); got != want {
			t.Errorf("%s: got %s, want %s", k, got, want)
		}
	}
	r.wait(t, 1, "admit a file://web.json")
	r.wait(t, 1, "admit b file://web.json")
	r.never(t, "admit c")
	r.never(t, "admit d")
}

// settle waits until what was sent before for the container is done.
func settle(t *testing.T, f *fake, r *recorder, k hook.Key) {
	t.Helper()
	before := len(r.all())
	f.emit(t, k, topicDelete, &eventsapi.ContainerDelete{ID: k.ID})
	eventually(t, func() error {
		if !slices.Contains(r.all()[before:], "ended "+k.String()) {
			return errors.New("not ended")
		}
		return nil
	})
}

func TestALostRaceIsSeenInTheBundle(t *testing.T) {
	tests := map[string]struct {
		bundle string // config.json of the task
		inject bool   // the create event came before
		want   string // Lost
	}{
		"won":                                  {given(asksByAnnotation, "a"), true, ""},
		"lost":                                 {asksByAnnotation, true, "its task was created before the admitted document was written into the container's record"},
		"another":                              {given(asksByAnnotation, "b"), true, "its task was created before the admitted document was written into the container's record"},
		"not seen before":                      {asksByAnnotation, false, "its task was created without a credential spec in the bundle"},
		"of an earlier life, or the wrapper's": {given(asksByAnnotation, "a"), false, ""},
		"not admitted":                         {given(asksByAnnotation, "b"), false, "its task was created with a credential spec that is not admitted: another document: denied"},
		"does not ask":                         {asksNot, false, ""},
		"not a config":                         {`{`, false, ""},
		"without a key":                        {``, false, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f, r := newFake(t), &recorder{}
			connected(t, watch(t, f, r, Config{}))
			f.put(key("a"), asksByAnnotation, nil)
			if test.inject {
				f.emit(t, key("a"), topicCreate, &eventsapi.ContainerCreate{ID: "a"})
			}
			f.emit(t, key("a"), topicTaskCreate, &eventsapi.TaskCreate{ContainerID: "a", Bundle: bundleWith(t, test.bundle)})
			settle(t, f, r, key("a"))
			if test.want == "" {
				r.never(t, "lost")
			} else {
				r.wait(t, 1, "lost a: "+test.want)
			}
		})
	}
}

func TestATaskWhoseBundleIsGoneIsNotReported(t *testing.T) {
	f, r := newFake(t), &recorder{}
	connected(t, watch(t, f, r, Config{}))
	f.emit(t, key("a"), topicTaskCreate, &eventsapi.TaskCreate{ContainerID: "a", Bundle: filepath.Join(t.TempDir(), "gone")})
	settle(t, f, r, key("a"))
	r.never(t, "lost")
	r.never(t, "admit")
}

func TestARefusedContainerIsReportedWhenItStartsAllTheSame(t *testing.T) {
	f, r := newFake(t), &recorder{refuse: true}
	connected(t, watch(t, f, r, Config{}))
	const config = `{"windows":{"credentialSpec":"file://web.json"}}`
	f.put(key("a"), config, nil)
	f.emit(t, key("a"), topicCreate, &eventsapi.ContainerCreate{ID: "a"})
	f.emit(t, key("a"), topicTaskCreate, &eventsapi.TaskCreate{ContainerID: "a", Bundle: bundleWith(t, config)})
	r.wait(t, 1, "lost a: its task was created with a credential spec that is not admitted: another document: denied")
	if got := f.spec(key("a")); got != config {
		t.Errorf("the record became %s", got)
	}
}

func TestTheWatchStandsBackForTheWrapperUntilOneGetsPastIt(t *testing.T) {
	f, r := newFake(t), &recorder{}
	w := watch(t, f, r, Config{})
	connected(t, w)
	if s := w.Status(); !s.Injects || s.Wrapper {
		t.Errorf("at first: %+v", s)
	}
	w.WrapperAsked(key("other containerd's"))
	w.WrapperAsked(key("a"))
	f.emit(t, key("a"), topicTaskCreate, &eventsapi.TaskCreate{ContainerID: "a", Bundle: bundleWith(t, asksByAnnotation)})
	eventually(t, func() error {
		if s := w.Status(); s.Injects || !s.Wrapper {
			return fmt.Errorf("the wrapper at work: %+v", s)
		}
		return nil
	})
	f.put(key("b"), asksByAnnotation, nil)
	f.put(key("c"), asksNot, asksByLabel)
	f.emit(t, key("b"), topicCreate, &eventsapi.ContainerCreate{ID: "b"})
	f.emit(t, key("c"), topicCreate, &eventsapi.ContainerCreate{ID: "c"})
	settle(t, f, r, key("b"))
	settle(t, f, r, key("c"))
	if got := f.spec(key("b")); got != asksByAnnotation {
		t.Errorf("what is the wrapper's became %s", got)
	}
	if got, want := f.spec(key("c")), given(asksNot, "c"); got != want {
		t.Errorf("what the wrapper does not see became %s, want %s", got, want)
	}
	f.emit(t, key("b"), topicTaskCreate, &eventsapi.TaskCreate{ContainerID: "b", Bundle: bundleWith(t, asksByAnnotation)})
	r.wait(t, 1, "lost b: its task was created without a credential spec in the bundle")
	if s := w.Status(); !s.Injects || s.Wrapper {
		t.Errorf("after that: %+v", s)
	}
}

func TestTheWrappersAdmissionIsTheLast(t *testing.T) {
	f, r := newFake(t), &recorder{slow: make(chan struct{})}
	w := watch(t, f, r, Config{})
	connected(t, w)
	f.put(key("slow"), asksByAnnotation, nil)
	f.emit(t, key("slow"), topicCreate, &eventsapi.ContainerCreate{ID: "slow"})
	eventually(t, func() error {
		if len(w.admits) == 0 {
			return errors.New("no admission is under way")
		}
		return nil
	})
	w.WrapperAsked(key("slow")) // stops it
	if len(w.admits) != 0 {
		t.Error("an admission is under way while the wrapper's is made")
	}
	f.emit(t, key("slow"), topicCreate, &eventsapi.ContainerCreate{ID: "slow"})
	settle(t, f, r, key("slow"))
	r.never(t, "admit")
	if got := f.spec(key("slow")); got != asksByAnnotation {
		t.Errorf("the record became %s", got)
	}
}

func TestTheRecordFollowsTheWrapperWhereTheWatchHadInjected(t *testing.T) {
	f, r := newFake(t), &recorder{}
	w := watch(t, f, r, Config{})
	connected(t, w)
	f.put(key("a"), asksByAnnotation, nil)
	f.emit(t, key("a"), topicCreate, &eventsapi.ContainerCreate{ID: "a"})
	r.wait(t, 1, "admit a file://web.json")
	w.WrapperAsked(key("a"))
	f.emit(t, key("a"), topicTaskCreate, &eventsapi.TaskCreate{ContainerID: "a", Bundle: bundleWith(t, given(asksByAnnotation, "later"))})
	settle(t, f, r, key("a"))
	if got, want := f.spec(key("a")), given(asksByAnnotation, "later"); got != want {
		t.Errorf("the record is %s, want %s", got, want)
	}
}

func TestAlwaysDoesNotStandBackAndNeverLeavesContainersAlone(t *testing.T) {
	f, r := newFake(t), &recorder{}
	w := watch(t, f, r, Config{Inject: InjectAlways})
	connected(t, w)
	w.WrapperAsked(key("a"))
	f.emit(t, key("a"), topicTaskCreate, &eventsapi.TaskCreate{ContainerID: "a"})
	f.put(key("b"), asksByAnnotation, nil)
	f.emit(t, key("b"), topicCreate, &eventsapi.ContainerCreate{ID: "b"})
	r.wait(t, 1, "admit b file://web.json")

	f, r = newFake(t), &recorder{}
	f.put(key("c"), asksByAnnotation, nil)
	f.run(key("c"))
	connected(t, watch(t, f, r, Config{Inject: InjectNever, StateDir: t.TempDir()}))
	f.emit(t, key("c"), topicCreate, &eventsapi.ContainerCreate{ID: "c"})
	f.emit(t, key("c"), topicTaskCreate, &eventsapi.TaskCreate{ContainerID: "c", Bundle: bundleWith(t, asksByAnnotation)})
	settle(t, f, r, key("c"))
	r.never(t, "admit")
	r.never(t, "lost")
}

func TestWhatHappenedBeforeTheConnectionIsMadeUpFor(t *testing.T) {
	f, r := newFake(t), &recorder{}
	state := t.TempDir()
	for id, config := range map[string]string{"kept": given(asksByAnnotation, "kept"), "lost": asksByAnnotation} {
		folder := filepath.Join(state, "io.containerd.runtime.v2.task", "default", id)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		f.put(key(id), asksByAnnotation, nil)
		f.run(key(id))
	}
	f.put(key("waiting"), asksByAnnotation, nil)
	f.put(key("plain"), asksNot, nil)
	connected(t, watch(t, f, r, Config{StateDir: state}))
	r.wait(t, 1, "lost lost: its task was created without a credential spec in the bundle")
	for _, id := range []string{"kept", "waiting", "plain"} {
		settle(t, f, r, key(id))
	}
	if got, want := f.spec(key("waiting")), given(asksByAnnotation, "waiting"); got != want {
		t.Errorf("the container without a task: got %s, want %s", got, want)
	}
	r.wait(t, 1, "checked kept")
	r.never(t, "admit kept")
	r.never(t, "lost kept")
	r.never(t, "admit plain")
}

func TestAContainerWithAGrantAndNoTaskYetIsLeftToTheWrapper(t *testing.T) {
	f, r := newFake(t), &recorder{holds: "between"}
	f.put(key("between"), asksByAnnotation, nil)
	f.put(key("waiting"), asksByAnnotation, nil)
	connected(t, watch(t, f, r, Config{}))
	r.wait(t, 1, "admit waiting file://web.json")
	settle(t, f, r, key("between"))
	r.never(t, "admit between")
}

func TestAContainerdThatGoesAwayIsAStateAndEveryoneIsListedAgain(t *testing.T) {
	f, r := newFake(t), &recorder{}
	f.put(key("a"), asksNot, nil)
	f.put(key("b"), asksNot, nil)
	w := watch(t, f, r, Config{Address: "here"})
	connected(t, w)
	f.stop()
	eventually(t, func() error {
		if s := w.Status(); s.Connected || s.LastError == "" || s.Since.IsZero() || s.Address != "here" {
			return fmt.Errorf("after the stop: %+v", s)
		}
		return nil
	})
	f.remove(key("b"))
	f.start()
	r.wait(t, 1, "live containerd 2 [default/a]")
	connected(t, w)
}

func TestAContainerdThatIsNotThereYetIsWaitedFor(t *testing.T) {
	f, r := newFake(t), &recorder{}
	f.stop()
	w := watch(t, f, r, Config{})
	eventually(t, func() error {
		if w.Status().LastError == "" {
			return errors.New("no attempt was made")
		}
		return nil
	})
	f.start()
	connected(t, w)
}

func TestAListingThatFailsRevokesNothing(t *testing.T) {
	f, r := newFake(t), &recorder{}
	f.put(key("a"), asksNot, nil)
	f.broken = true
	w := watch(t, f, r, Config{})
	eventually(t, func() error {
		if s := w.Status(); !strings.Contains(s.LastError, "the disk is broken") || !strings.Contains(s.LastError, "namespace default") {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	r.never(t, "live")
	f.set(func(f *fake) { f.broken = false })
	connected(t, w)
}

func TestOddEventsHaveTheContainersListedAgainAndNothingElse(t *testing.T) {
	for name, e := range map[string]*types.Envelope{
		"no content":   {Namespace: "default", Topic: topicDelete},
		"another type": {Namespace: "default", Topic: topicDelete, Event: &anypb.Any{TypeUrl: "containerd.events.TaskExit"}},
		"unknown type": {Namespace: "default", Topic: topicCreate, Event: &anypb.Any{TypeUrl: "x/y.z", Value: []byte("{")}},
		"garbage":      {Namespace: "default", Topic: topicDelete, Event: &anypb.Any{TypeUrl: "containerd.events.ContainerDelete", Value: []byte{0xff, 0xff}}},
		"no container": {Namespace: "default", Topic: topicTaskCreate, Event: &anypb.Any{TypeUrl: "containerd.events.TaskCreate"}},
		"no namespace": {Topic: topicDelete, Event: &anypb.Any{TypeUrl: "containerd.events.ContainerDelete", Value: []byte{0x0a, 0x01, 'a'}}},
	} {
		t.Run(name, func(t *testing.T) {
			f, r := newFake(t), &recorder{}
			w := watch(t, f, r, Config{})
			connected(t, w)
			f.send(&types.Envelope{Topic: "/snapshot/remove", Event: &anypb.Any{TypeUrl: "?"}})
			f.send(e)
			r.wait(t, 1, "live containerd 2 []")
			settle(t, f, r, key("b"))
			if !w.Status().Connected {
				t.Error("the connection is lost")
			}
		})
	}
}

func TestAnEndThatCannotBeNotedIsMadeUpForByAListing(t *testing.T) {
	f, r := newFake(t), &recorder{failing: true}
	connected(t, watch(t, f, r, Config{}))
	f.emit(t, key("a"), topicDelete, &eventsapi.ContainerDelete{ID: "a"})
	r.wait(t, 1, "live containerd 2 []")
}

func TestContainersDoNotWaitForEachOther(t *testing.T) {
	f, r := newFake(t), &recorder{slow: make(chan struct{})}
	connected(t, watch(t, f, r, Config{}))
	f.put(key("slow"), asksByAnnotation, nil)
	f.put(key("quick"), asksByAnnotation, nil)
	f.emit(t, key("slow"), topicCreate, &eventsapi.ContainerCreate{ID: "slow"})
	f.emit(t, key("slow"), topicDelete, &eventsapi.ContainerDelete{ID: "slow"})
	f.emit(t, key("quick"), topicCreate, &eventsapi.ContainerCreate{ID: "quick"})
	r.wait(t, 1, "admit quick file://web.json")
	r.never(t, "ended") // in its turn
	close(r.slow)
	r.wait(t, 1, "ended containerd/default/slow")
}

func TestRunEndsWithItsContextWhateverIsUnderWay(t *testing.T) {
	f, r := newFake(t), &recorder{slow: make(chan struct{})}
	w := watch(t, f, r, Config{})
	connected(t, w)
	f.put(key("slow"), asksByAnnotation, nil)
	f.emit(t, key("slow"), topicCreate, &eventsapi.ContainerCreate{ID: "slow"})
	// The cleanup waits for Run.
}
