package eventlog

import (
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// sourceKey is where Windows finds a source's words, below HKEY_LOCAL_MACHINE.
// Its parent is Windows' own.
//
// https://learn.microsoft.com/windows/win32/eventlog/event-sources
const sourceKey = `SYSTEM\CurrentControlSet\Services\EventLog\Application\` + Source

// typesSupported are the severities that the source writes.
const typesSupported = uint32(Error | Warning | Information)

// value is a registry value of the source: a text, or a number if text is
// empty.
type value struct {
	name   string
	text   string
	number uint32
}

// values are all of them. messages is a file with our message resource:
// gmsa-agent.exe.
func values(messages string) []value {
	return []value{
		{name: "EventMessageFile", text: messages},
		{name: "CategoryMessageFile", text: messages},
		{name: "CategoryCount", number: uint32(len(Categories))},
		{name: "TypesSupported", number: typesSupported},
	}
}

// keys is the source's registry key and what is done with it.
type keys interface {
	// Read returns the values of sourceKey; nil if it does not exist.
	Read() (map[string]value, error)
	// Write makes the key and sets values.
	Write([]value) error
	// Unset removes values of the key.
	Unset(names []string) error
	// Remove removes the key if nothing is in it. Nothing to remove is no error.
	Remove() error
}

// Install registers the source, so that Event Viewer finds the words of its
// events in messages, which is an absolute path of gmsa-agent.exe. It replaces
// what is registered; undo restores that.
func Install(messages string) (undo func() error, err error) { return install(thisHost(), messages) }

// Uninstall removes what Install writes, and the key if nothing else is in it.
// Events that were written stay, and Event Viewer shows their parameters alone.
func Uninstall() error { return uninstall(thisHost()) }

// Inspect names what of the registration is missing or not as Install writes
// it. Messages is where the source's words are looked for; empty if it is not
// registered.
func Inspect() (messages string, problems []string, err error) { return inspect(thisHost()) }

func install(k keys, messages string) (func() error, error) {
	if !absolute(messages) {
		return nil, fmt.Errorf("event source %s: %q is not an absolute path: %w", Source, messages, fault.ErrMalformed)
	}
	before, err := k.Read()
	if err != nil {
		return nil, keyError(err)
	}
	undo := func() error { return keyError(restore(k, before)) }
	if err := k.Write(values(messages)); err != nil {
		if failed := undo(); failed != nil {
			return nil, fmt.Errorf("%w; and it could not be undone: %w", keyError(err), failed)
		}
		return nil, keyError(err)
	}
	return undo, nil
}

// restore gives our values back what they were.
func restore(k keys, before map[string]value) error {
	var old []value
	var absent []string
	for _, v := range values("") {
		if was, ok := before[v.name]; ok {
			old = append(old, was)
		} else {
			absent = append(absent, v.name)
		}
	}
	if err := k.Unset(absent); err != nil {
		return err
	}
	if before == nil {
		return k.Remove()
	}
	if len(old) == 0 {
		return nil
	}
	return k.Write(old)
}

func uninstall(k keys) error {
	there, err := k.Read()
	if err != nil || there == nil {
		return keyError(err)
	}
	var names []string
	for _, v := range values("") {
		names = append(names, v.name)
	}
	if err := k.Unset(names); err != nil {
		return keyError(err)
	}
	return keyError(k.Remove())
}

func inspect(k keys) (messages string, problems []string, err error) {
	there, err := k.Read()
	if err != nil {
		return "", nil, keyError(err)
	}
	messages = there["EventMessageFile"].text
	for _, want := range values(messages) {
		got, ok := there[want.name]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf(`HKLM\%s: %s is missing`, sourceKey, want.name))
		case got != want:
			problems = append(problems, fmt.Sprintf(`HKLM\%s: %s is not what the registration writes`, sourceKey, want.name))
		}
	}
	return messages, problems, nil
}

func keyError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(`event source %s: HKLM\%s: %w`, Source, sourceKey, err)
}

// absolute says whether path is a drive's or a share's, on every platform.
func absolute(path string) bool {
	return len(path) > 3 && path[1:3] == `:\` || strings.HasPrefix(path, `\\`)
}
