package ccgplugin

import (
	"errors"
	"fmt"
)

// keeper is what the taking of a key's ownership needs of Windows.
type keeper interface {
	// security and setSecurity read and write owner and access list.
	security(key string) (sd []byte, found bool, err error)
	setSecurity(key string, sd []byte) error
	// setOwner makes Administrators the owner, by privilege: the access list
	// need not allow it.
	setOwner(key string) error
	// setList writes the access list alone, as the owner may.
	setList(key string, sd []byte) error
	// note and forget keep the descriptor where a later registration finds it.
	note(key string, sd []byte) error
	forget(key string) error
}

// asOwner does what f does to a key that Windows does not let administrators
// write to: the key is made Administrators' own, f is done, and the key gets
// back the owner and the access list that it had, whatever f does, and is
// looked at to see that it has them. What it had is noted before the first
// change, so that a process which is killed leaves something to go by.
func asOwner(k keeper, key string, f func() error) (err error) {
	sd, found, err := k.security(key)
	if err == nil && !found {
		err = errors.New("the key is gone")
	}
	if err != nil {
		return fmt.Errorf("read its access list: %w", err)
	}
	before, err := readDescriptor(sd)
	if err != nil {
		return err
	}
	if err := k.note(key, sd); err != nil {
		return fmt.Errorf("note its access list: %w", err)
	}
	// A deferred call, so that f's panic does not leave the key open.
	defer func() {
		if failed := giveBack(k, key, sd, before); failed != nil {
			err = errors.Join(err, fmt.Errorf("give back its owner and access list: %w", failed))
		}
	}()
	// From here on each step is allowed by the one before: the privilege lets
	// us be the owner, the owner may write the list, the list lets us do f.
	if err := k.setOwner(key); err != nil {
		return fmt.Errorf("become its owner: %w", err)
	}
	wider := before
	wider.owner = sidAdministrators
	// Not to be inherited, so that what f makes below gets Windows' own list.
	wider.list = append([]access{{aceAllow, 0, keyAll, sidAdministrators}}, before.list...)
	if err := k.setList(key, wider.bytes()); err != nil {
		return fmt.Errorf("write its access list: %w", err)
	}
	return f()
}

// giveBack restores and verifies; only then is the note forgotten.
func giveBack(k keeper, key string, sd []byte, before descriptor) error {
	restored := k.setSecurity(key, sd)
	now, found, err := k.security(key)
	if err == nil && !found {
		return k.forget(key) // it was what f deleted
	}
	if err := errors.Join(restored, err); err != nil {
		return err
	}
	got, err := readDescriptor(now)
	if err != nil {
		return err
	}
	if !got.sameAccess(before) {
		return fmt.Errorf("it %s", got.differs(before))
	}
	return k.forget(key)
}
