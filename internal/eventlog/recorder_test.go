package eventlog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnEntryIsWrittenWithTheTablesSeverityAndParameters(t *testing.T) {
	m := &memory{}
	r := NewRecorder(m, Information, func(err error) { t.Error(err) })
	r.Record(Entry{ID: ConfigApplied, Params: []string{"c:\\x.yaml", "one too many"}})
	r.Record(Entry{ID: RuntimeBack, Params: []string{"containerd"}})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	want := []Entry{{ID: ConfigApplied, Params: []string{"c:\\x.yaml"}}, {ID: RuntimeBack, Params: []string{"containerd", "-"}}}
	if diff := cmp.Diff(want, m.entries); diff != "" {
		t.Error(diff)
	}
	if !m.closed {
		t.Error("the log was not closed")
	}
}

func TestWhatIsLessSevereIsNotWritten(t *testing.T) {
	m := &memory{}
	r := NewRecorder(m, Warning, nil)
	for _, id := range []ID{AdmitGranted, SpecStale, AdmitRefused} {
		r.Record(Entry{ID: id})
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if m.count(AdmitGranted) != 0 || m.count(SpecStale) != 1 || m.count(AdmitRefused) != 1 {
		t.Errorf("%v", m.entries)
	}
}

func TestACrashLoopIsCountedAndDoesNotHideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := NewRecorder(m, Information, nil)
		const loops = 1000
		for i := range loops {
			r.Record(Entry{ID: AdmitRefused, Subject: "web", Params: []string{fmt.Sprint("container ", i)}})
			synctest.Wait()
		}
		r.Record(Entry{ID: AdmitRefused, Subject: "another", Params: []string{"the other one"}})
		synctest.Wait()
		if got := m.count(AdmitRefused); got != mostOfASubject+1 {
			t.Errorf("%d events were written", got)
		}
		if got := m.count(Repeated); got != 0 {
			t.Errorf("%d summaries before the interval ended", got)
		}
		time.Sleep(repeatInterval)
		synctest.Wait()
		last := m.entries[len(m.entries)-1]
		if last.ID != Repeated || !cmp.Equal(last.Params[:3], []string{"2002", "admit.refused", fmt.Sprint(loops - mostOfASubject)}) {
			t.Errorf("got %v", last)
		}
		r.Record(Entry{ID: AdmitRefused, Subject: "web"})
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if got := m.count(AdmitRefused); got != mostOfASubject+2 {
			t.Errorf("the next interval has no events of its own: %d", got)
		}
		if got := m.count(Repeated); got != 1 {
			t.Errorf("%d summaries", got)
		}
	})
}

func TestManySubjectsDoNotFloodTheLogEither(t *testing.T) {
	m := &memory{}
	r := NewRecorder(m, Information, nil)
	for i := range 3 * mostSubjects {
		for len(r.queue) == cap(r.queue) {
			time.Sleep(time.Microsecond)
		}
		r.Record(Entry{ID: AdmitRefused, Subject: fmt.Sprint(i)})
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := m.count(AdmitRefused); got != mostOfAnID {
		t.Errorf("%d events were written", got)
	}
	if last := m.entries[len(m.entries)-1]; last.ID != Repeated || last.Params[2] != fmt.Sprint(3*mostSubjects-mostOfAnID) {
		t.Errorf("got %v", last)
	}
}

func TestALogThatDoesNotAnswerHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{hold: make(chan struct{})}
		r := NewRecorder(m, Information, nil)
		for range 2 * queueLength {
			r.Record(Entry{ID: AdmitGranted})
		}
		synctest.Wait()
		before := time.Now()
		if err := r.Close(); err == nil {
			t.Error("Close does not say that the log hangs")
		}
		if waited := time.Since(before); waited != closePatience {
			t.Errorf("Close waited %v", waited)
		}
		close(m.hold)
		synctest.Wait()
		// What found no room in the queue is counted, too.
		if last := m.entries[len(m.entries)-1]; last.ID != Repeated || last.Params[0] != "2000" {
			t.Errorf("got %v", last)
		}
	})
}

func TestAnEntryThatCannotBeWrittenIsToldOf(t *testing.T) {
	m := &memory{fail: errors.New("the service is down")}
	var told []string
	r := NewRecorder(m, Information, func(err error) { told = append(told, err.Error()) })
	r.Record(Entry{ID: AgentReady})
	r.Record(Entry{ID: 999})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || told[0] != "the service is down" || !strings.Contains(told[1], "999") {
		t.Errorf("%q", told)
	}
}

func TestWithoutARecorderEventsAreDropped(t *testing.T) {
	var r *Recorder
	r.Record(Entry{ID: AgentReady})
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
