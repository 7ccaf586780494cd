package hcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Report is what a look has found.
type Report struct {
	Time  time.Time `json:"time"`
	Asked []Asked   `json:"asked"`
	// Unclear is why nothing is concluded from this look; empty if something is.
	Unclear   string   `json:"unclear,omitempty"`
	Instances []Found  `json:"instances"`
	Missing   []string `json:"missing,omitempty"` // asked for, and there is no such instance
}

// Asked is who was asked for containers, and what came of it.
type Asked struct {
	Name       string `json:"name"`
	Containers int    `json:"containers"`
	Absent     string `json:"absent,omitempty"` // this host does not have it: how that is known
	Error      string `json:"error,omitempty"`  // no answer, or not the whole
}

// State is what a look says of an instance.
type State string

const (
	Live     State = "live"     // somebody has its container
	Orphaned State = "orphaned" // nobody has; removed when the time of grace is over
	Foreign  State = "foreign"  // nobody has, and it is of nobody who was asked; it stays
	Disputed State = "disputed" // no runtime has its container, but HCS runs it or it holds a grant
	Unclear  State = "unclear"  // those who answered do not have its container
)

// Found is an instance as a look found it.
type Found struct {
	ID        string                            `json:"id"`
	Transport ContainerCredentialGuardTransport `json:"transport,omitempty"`
	State     State                             `json:"state"`
	Known     []string                          `json:"known"`           // who has its container: "containerd/k8s.io", "HCS (Running)"
	Place     string                            `json:"place,omitempty"` // where a runtime had it last, if it was seen there
	Grant     string                            `json:"grant,omitempty"`
	Since     time.Time                         `json:"since,omitzero"` // since when it is orphaned
	Due       time.Time                         `json:"due,omitzero"`   // when it may be removed
	Chosen    bool                              `json:"chosen,omitempty"`
	Removed   bool                              `json:"removed,omitempty"`
	Kept      string                            `json:"kept,omitempty"` // why it was not removed although that was asked for, or due
}

// why says why an instance that was asked for is not removed.
func (f *Found) why(report *Report) string {
	switch f.State {
	case Live:
		return "its container is there: " + strings.Join(f.Known, ", ")
	case Disputed:
		return "no runtime has its container, but that is contradicted: " + strings.Join(f.Known, ", ")
	}
	return report.Unclear
}

// answer is what somebody said of containers.
type answer struct {
	Asked
	places map[string][]string // by folded ID
}

// look asks everybody. Of a look that is not settling only what it is sure of
// is kept: somebody who asks by hand must not begin the time of grace anew.
func (r *Reaper) look(ctx context.Context, settling bool) (Report, error) {
	// The instances first: a container that is made now is in what is asked
	// afterwards, or its instance is not in this list.
	list, err := r.instances.List(ctx)
	if err != nil {
		if settling {
			clear(r.orphans)
		}
		return Report{}, err
	}
	r.prune(list)
	// While they are there, too: who has only just ended is in one of the lists.
	answers, systems := r.ask(ctx)
	report := Report{Time: time.Now().UTC(), Instances: []Found{}}
	var silent []string
	for _, a := range append(answers, systems) {
		report.Asked = append(report.Asked, a.Asked)
		if a.Error != "" {
			silent = append(silent, a.Name+": "+a.Error)
		}
	}
	grants := folded(r.grants.Grants())
	disputed := ""
	for _, i := range list {
		f := r.judge(i, answers, systems, grants)
		if f.State == Disputed && disputed == "" {
			disputed = fmt.Sprintf("no runtime has the container %q, but %s", i.ID, strings.Join(f.Known, ", "))
		}
		report.Instances = append(report.Instances, f)
	}
	slices.SortFunc(report.Instances, func(x, y Found) int { return cmp.Compare(x.ID, y.ID) })
	switch {
	case len(silent) > 0:
		report.Unclear = strings.Join(silent, "; ")
	case disputed != "":
		report.Unclear = disputed
	}
	r.settle(&report, settling)
	return report, nil
}

// judge says what is known of an instance by itself.
func (r *Reaper) judge(i Instance, answers []answer, systems answer, grants map[string]string) Found {
	f := Found{ID: i.ID, Transport: i.Transport, State: Live, Known: []string{}, Place: r.seen[i.ID]}
	id := fold(i.ID)
	for _, a := range answers {
		f.Known = append(f.Known, a.places[id]...)
	}
	if len(f.Known) > 0 {
		f.Place = f.Known[0]
		r.seen[i.ID] = f.Place
	}
	byRuntime := len(f.Known) > 0
	f.Known = append(f.Known, systems.places[id]...)
	if f.Grant = grants[id]; f.Grant != "" && !byRuntime {
		f.Known = append(f.Known, "it holds the grant "+f.Grant)
	}
	if byRuntime {
		return f
	}
	ours := f.Place != "" || f.Grant != "" || runtimeMade(i.ID)
	switch {
	case len(f.Known) > 0 && ours:
		f.State = Disputed
	case len(f.Known) > 0:
		// Whoever made it uses CCG without a runtime that we know.
	case ours:
		f.State = Orphaned
	default:
		f.State = Foreign
	}
	return f
}

// runtimeMade says whether an ID is of the form that containerd's CRI and Docker
// give theirs: 32 random bytes in hexadecimal. (Who uses ctr chooses; such IDs
// count once they were seen.)
func runtimeMade(id string) bool {
	return len(id) == 64 && strings.Trim(id, "0123456789abcdef") == ""
}

// settle notes since when instances are orphaned. After an unclear look nothing
// is, so that the time of grace begins anew.
func (r *Reaper) settle(report *Report, settling bool) {
	if report.Unclear != "" {
		for i := range report.Instances {
			switch f := &report.Instances[i]; f.State {
			case Orphaned, Foreign:
				f.State = Unclear
			default:
				delete(r.orphans, f.ID)
			}
		}
		if settling {
			clear(r.orphans)
		}
		return
	}
	grace := r.times().Grace
	for i := range report.Instances {
		f := &report.Instances[i]
		if f.State != Orphaned {
			delete(r.orphans, f.ID)
			continue
		}
		since, known := r.orphans[f.ID]
		if !known {
			since = report.Time
			r.orphans[f.ID] = since
		}
		f.Since, f.Due = since, since.Add(grace)
	}
}

// ask asks all runtimes and HCS at once. It returns when all have answered or
// ctx has ended; who has not answered by then has an error.
func (r *Reaper) ask(ctx context.Context) (answers []answer, systems answer) {
	answers = make([]answer, len(r.runtimes))
	var wg sync.WaitGroup
	for i, runtime := range r.runtimes {
		wg.Go(func() { answers[i] = askRuntime(ctx, r.asking[i], runtime) })
	}
	wg.Go(func() { systems = r.askHCS(ctx) })
	wg.Wait()
	return answers, systems
}

func askRuntime(ctx context.Context, asking chan struct{}, runtime Runtime) answer {
	a := answer{Asked: Asked{Name: runtime.Name()}, places: map[string][]string{}}
	list, err := call(ctx, asking, func() ([]Container, error) { return runtime.Containers(ctx) })
	switch {
	case errors.Is(err, ErrAbsent):
		a.Absent = err.Error()
		return a
	case err != nil && ctx.Err() != nil:
		a.Error = fmt.Sprintf("no answer: %v", err)
	case err != nil:
		a.Error = err.Error()
		// What it did say still keeps instances.
	}
	a.Containers = len(list)
	for _, c := range list {
		id := fold(c.ID)
		a.places[id] = append(a.places[id], c.Place)
	}
	return a
}

// hostedIn is what hcsshim appends to a container's ID for the utility VM that
// the container has for itself.
const hostedIn = "@vm"

func (r *Reaper) askHCS(ctx context.Context) answer {
	a := answer{Asked: Asked{Name: "HCS"}, places: map[string][]string{}}
	list, err := call(ctx, r.listing, func() ([]System, error) { return r.systems(ctx) })
	if err != nil {
		a.Error = err.Error()
		return a
	}
	a.Containers = len(list)
	for _, s := range list {
		id, what := fold(s.ID), "HCS"
		if vm, ok := strings.CutSuffix(id, hostedIn); ok {
			id, what = vm, "HCS, a utility VM"
		}
		a.places[id] = append(a.places[id], fmt.Sprintf("%s (%s)", what, cmp.Or(s.State, "state unknown")))
	}
	return a
}
