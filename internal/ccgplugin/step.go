package ccgplugin

import (
	"errors"
	"fmt"
)

// Action is what a step of a registration does to the registry.
type Action string

// The actions.
const (
	SetValue    Action = "set value"
	RemoveValue Action = "remove value"
	RemoveKey   Action = "remove key"
	SetAccess   Action = "set access"
	// GiveBack gives a key the owner and the access list that were noted.
	GiveBack Action = "give back"
)

// step is one change to the registry.
type step struct {
	action    Action
	Key, Name string
	value     Value // for SetAccess and GiveBack: a security descriptor
}

// Change is a step, as people and programs are told of it.
type Change struct {
	Action Action
	Place  string // the key
	Value  string // the value's name; empty for a key
	Data   string // what is set
}

func (c Change) String() string {
	s := string(c.Action) + " " + c.Place
	if c.Value != "" {
		s += ": " + c.Value
	}
	if c.Data != "" {
		s += " = " + c.Data
	}
	return s
}

func (s step) change() Change {
	c := Change{Action: s.action, Place: place(s.Key)}
	switch s.action {
	case SetValue, RemoveValue:
		c.Value = valueName(s.Name)
	}
	switch {
	case s.action == SetValue && s.value.Type == regString:
		c.Data = quoted(s.value.text())
	case s.action != RemoveValue && s.action != RemoveKey:
		if d, err := readDescriptor(s.value.Data); err == nil {
			c.Data = d.String()
		}
	}
	return c
}

func (s step) do(reg Registry) (err error) {
	switch s.action {
	case SetValue:
		if err = createAll(reg, s.Key); err == nil {
			err = reg.Set(s.Key, s.Name, s.value)
		}
	case RemoveValue:
		err = reg.Unset(s.Key, s.Name)
	case RemoveKey:
		err = removeTree(reg, s.Key)
	case SetAccess:
		err = reg.SetSecurity(s.Key, s.value.Data)
	case GiveBack:
		err = giveBackNoted(reg, s.Key, s.value.Data)
	default:
		err = errors.New("no such step")
	}
	if err != nil {
		return fmt.Errorf(`HKLM\%s: %w`, s.Key, err)
	}
	return nil
}

func giveBackNoted(reg Registry, key string, sd []byte) error {
	exists, err := reg.Exists(key)
	if err == nil && exists { // it may be what was to be removed
		err = reg.SetSecurity(key, sd)
	}
	if err != nil {
		return err
	}
	return forget(reg, key)
}

// forget removes the note about a key.
func forget(reg Registry, key string) error {
	if err := reg.Unset(keyOwnership, key); err != nil {
		return err
	}
	return errors.Join(reg.RemoveEmpty(keyOwnership), reg.RemoveEmpty(keyProduct))
}
