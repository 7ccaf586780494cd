package service

import (
	"context"
	"errors"
	"fmt"
)

// Outcome says what became of a step.
type Outcome string

// The outcomes.
const (
	Planned Outcome = "planned" // of a plan that is only shown
	Nothing Outcome = "nothing to do"
	Done    Outcome = "done"
	Failed  Outcome = "failed"
	Undone  Outcome = "undone"
)

// Step is one step of a plan, as it is shown.
type Step struct {
	Name    string  `json:"name"`
	Does    string  `json:"does"`
	Outcome Outcome `json:"outcome"`
}

// step is one step of a plan. All three functions may be called again after a
// crash in the middle of one: what is done already is no error for do, and what
// was not done is none for undo.
type step struct {
	name, does string
	// needed says whether there is something to do; nil: there is.
	needed func() (bool, error)
	do     func(context.Context) error
	undo   func(context.Context) error // nil: what it did does no harm
}

// StepError says which step of a plan failed.
type StepError struct {
	Step string
	Err  error
}

func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }

// RolledBackError says why what was begun is not there.
type RolledBackError struct {
	Operation Operation
	Version   string // that did not come
	Back      string // the version that is there again; empty: none was
	Cause     error
	Undo      error // what of the way back failed; nil: all is as before
}

func (e *RolledBackError) Error() string {
	to := "nothing is installed, as before"
	if e.Back != "" {
		to = "version " + e.Back + " is back"
	}
	text := fmt.Sprintf("%s of version %s: %v; %s", e.Operation, e.Version, e.Cause, to)
	if e.Undo != nil {
		text += fmt.Sprintf(", but for this: %v", e.Undo)
	}
	return text
}

func (e *RolledBackError) Unwrap() []error {
	if e.Undo == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.Undo}
}

// Report is what an operation did, or would do.
type Report struct {
	Operation Operation `json:"operation"`
	Version   string    `json:"version,omitempty"`  // that is installed, or was
	Previous  string    `json:"previous,omitempty"` // that it replaces
	DryRun    bool      `json:"dryRun"`
	Changed   bool      `json:"changed"` // false: there was nothing to do
	Steps     []Step    `json:"steps"`
	Warnings  []string  `json:"warnings,omitempty"`
	Kept      []string  `json:"kept,omitempty"`      // what Uninstall leaves: the state
	Postponed []string  `json:"postponed,omitempty"` // in use; removed by a later call or at the host's next start
}

// look asks every step whether there is something to do.
func look(steps []step) ([]Step, bool, error) {
	var shown []Step
	change := false
	for _, s := range steps {
		outcome := Planned
		if s.needed != nil {
			needed, err := s.needed()
			if err != nil {
				return shown, change, &StepError{s.name, err}
			}
			if !needed {
				outcome = Nothing
			}
		}
		change = change || outcome == Planned
		shown = append(shown, Step{s.name, s.does, outcome})
	}
	return shown, change, nil
}

// errCrash is what a test has a step return where the host stops: nothing is
// undone, as nobody is there to do it.
var errCrash = errors.New("the host has stopped")

// run does the steps that are needed, as look has said. When one fails, it is
// undone, and those before it in reverse; a cancelled context is no reason not
// to.
func (h *Host) run(ctx context.Context, steps []step, shown []Step) (cause, undo error) {
	for i, s := range steps {
		if shown[i].Outcome == Nothing {
			h.tell(shown[i])
			continue
		}
		err := ctx.Err()
		if err == nil && h.at != nil {
			err = h.at(s.name)
		}
		if errors.Is(err, errCrash) {
			return err, nil
		}
		if err == nil {
			err = s.do(ctx)
		}
		if errors.Is(err, errCrash) {
			return err, nil
		}
		if err != nil {
			shown[i].Outcome = Failed
			h.tell(shown[i])
			return &StepError{s.name, err}, h.undo(context.WithoutCancel(ctx), steps[:i+1], shown)
		}
		shown[i].Outcome = Done
		h.tell(shown[i])
	}
	return nil, nil
}

// undo undoes steps in reverse. It goes on after an error and returns all of them.
func (h *Host) undo(ctx context.Context, steps []step, shown []Step) error {
	var errs []error
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].undo == nil || shown[i].Outcome == Nothing {
			continue
		}
		if err := steps[i].undo(ctx); err != nil {
			errs = append(errs, &StepError{"undo " + steps[i].name, err})
			continue
		}
		shown[i].Outcome = Undone
		h.tell(shown[i])
	}
	return errors.Join(errs...)
}

func (h *Host) tell(s Step) {
	if h.Progress != nil {
		h.Progress(s)
	}
}
