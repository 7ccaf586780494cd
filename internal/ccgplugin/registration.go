package ccgplugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Plan is what Register would do.
func Plan(reg Registry, path string) ([]Change, error) {
	steps, err := plan(reg, path)
	return changes(steps), err
}

func plan(reg Registry, path string) ([]step, error) {
	if !isAbsolute(path) {
		return nil, fmt.Errorf("register %q: %w: the DLL's path must be absolute", path, fault.ErrMalformed)
	}
	c, err := Compare(reg, path)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	var steps []step
	for _, d := range c.Differences {
		steps = append(steps, d.steps...)
	}
	return steps, nil
}

func changes(steps []step) []Change {
	all := make([]Change, len(steps))
	for i, s := range steps {
		all[i] = s.change()
	}
	return all
}

// Register makes CCG find the plugin in the DLL at path, an absolute path that
// service accounts can read. It writes what differs from that, and nothing if
// nothing does: a registration that is there is replaced, or healed. If a step
// fails, the registry becomes what it was, and the error names the step; an
// error of the undoing is joined to it.
func Register(reg Registry, path string) error {
	_, err := Heal(reg, path)
	return err
}

// Heal is Register, and says what it changed.
func Heal(reg Registry, path string) ([]Change, error) {
	steps, err := plan(reg, path)
	if err != nil || len(steps) == 0 {
		return nil, err
	}
	before, err := Capture(reg)
	if err != nil {
		return nil, fmt.Errorf("register: %w", err)
	}
	for _, s := range steps {
		if err := s.do(reg); err != nil {
			return nil, errors.Join(fmt.Errorf("register: %w", err), undone(before, reg))
		}
	}
	return changes(steps), nil
}

func undone(before Snapshot, reg Registry) error {
	if err := before.Restore(reg); err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	return nil
}

// Unregister removes the values that Register writes, and their keys where
// nothing else is in them. It goes on after an error and returns all of them;
// a plugin that is not registered is none.
func Unregister(reg Registry) error {
	_, err := Remove(reg)
	return err
}

// Unplan is what Unregister would do.
func Unplan(reg Registry) ([]Change, error) {
	steps, err := unplan(reg)
	return changes(steps), err
}

// Remove is Unregister, and says what it changed.
func Remove(reg Registry) ([]Change, error) {
	steps, err := unplan(reg)
	if err != nil {
		return nil, err
	}
	var done []step
	var errs []error
	for _, s := range steps {
		if err := s.do(reg); err != nil {
			errs = append(errs, fmt.Errorf("unregister: %w", err))
			continue
		}
		done = append(done, s)
	}
	all := entries("")
	for i := len(all) - 1; i >= 0; i-- {
		if i == 0 || all[i-1].key != all[i].key {
			if err := reg.RemoveEmpty(all[i].key); err != nil {
				errs = append(errs, fmt.Errorf(`unregister: HKLM\%s: %w`, all[i].key, err))
			}
		}
	}
	return changes(done), errors.Join(errs...)
}

// unplan goes backwards: CCG's acceptance first, subkeys before their key. What
// old documentation had people write beside the registration goes with it;
// other values are left, as are keys in which they are.
func unplan(reg Registry) ([]step, error) {
	broken, err := brokenOff(reg)
	if err != nil {
		return nil, fmt.Errorf("unregister: %w", err)
	}
	var steps []step
	for _, d := range broken {
		steps = append(steps, d.steps...)
	}
	all := entries("")
	for i := len(all) - 1; i >= 0; i-- {
		_, found, err := reg.Get(all[i].key, all[i].name)
		if err != nil {
			return nil, fmt.Errorf(`unregister: HKLM\%s: %w`, all[i].key, err)
		}
		if found {
			steps = append(steps, step{action: RemoveValue, Key: all[i].key, Name: all[i].name})
		}
	}
	misplaced, err := inTheWay(reg)
	if err != nil {
		return nil, fmt.Errorf("unregister: %w", err)
	}
	for _, d := range misplaced {
		for _, s := range d.steps {
			if s.action == RemoveKey && !strings.HasPrefix(s.Key, keyClass+`\`) {
				steps = append(steps, s)
			}
		}
	}
	return steps, nil
}

// isAbsolute says whether path is a drive's or a share's, on every platform.
func isAbsolute(path string) bool {
	drive := len(path) > 3 && path[1:3] == `:\` && strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ", rune(path[0]&^0x20))
	return drive || strings.HasPrefix(path, `\\`)
}
