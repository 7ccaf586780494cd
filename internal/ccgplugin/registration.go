package ccgplugin

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// The keys of the registration, below HKEY_LOCAL_MACHINE.
const (
	keyClass  = `SOFTWARE\Classes\CLSID\` + CLSID
	keyServer = keyClass + `\InprocServer32`
	keyApp    = `SOFTWARE\Classes\AppID\` + CLSID
	// keyAllowed is by what CCG accepts a plugin at all.
	keyAllowed = `SYSTEM\CurrentControlSet\Control\CCG\COMClasses\` + CLSID
)

const description = "gmsa-agent plugin for Container Credential Guard"

// launchAccess is who may have COM launch the plugin's host and call into it,
// as SDDL. The mask is COM_RIGHTS_EXECUTE, COM_RIGHTS_EXECUTE_LOCAL and
// COM_RIGHTS_ACTIVATE_LOCAL: nobody from another machine.
const launchAccess = "O:BAG:BAD:" +
	"(A;;0xb;;;SY)" + // CCG, if it runs as SYSTEM
	"(A;;0xb;;;SU)" + // CCG, if it runs as a service's account: Microsoft's own plugin has these two
	"(A;;0xb;;;BA)" // administrators, who test the registration with `gmsa-agent plugin call`

// Types of registry values.
//
// https://learn.microsoft.com/windows/win32/sysinfo/registry-value-types
const (
	regString uint32 = 1 // REG_SZ
	regBinary uint32 = 3 // REG_BINARY
)

// Value is a registry value as it is stored.
type Value struct {
	Type uint32
	Data []byte
}

// Registry is HKEY_LOCAL_MACHINE, as the registration needs it. Keys are
// paths with backslashes. What is absent is not an error for Get, Unset and
// RemoveEmpty.
type Registry interface {
	// Exists says whether there is such a key.
	Exists(key string) (bool, error)
	// Create makes a key whose parent exists; one that exists is left as it is.
	Create(key string) error
	Get(key, name string) (v Value, found bool, err error)
	Set(key, name string, v Value) error
	Unset(key, name string) error
	// RemoveEmpty removes a key that has neither values nor subkeys, and
	// leaves one that has.
	RemoveEmpty(key string) error
	// Descriptor turns SDDL into a self-relative security descriptor.
	Descriptor(sddl string) ([]byte, error)
}

// entry is one value of the registration.
type entry struct {
	key, name string // an empty name is the key's default value
	value     Value
}

// entries are all values of the registration of the DLL at path. A key comes
// before its subkeys. What makes CCG take the plugin comes last, so that it
// never sees half a registration.
func entries(reg Registry, path string) ([]entry, error) {
	access, err := reg.Descriptor(launchAccess)
	if err != nil {
		return nil, fmt.Errorf("the launch permission: %w", err)
	}
	permission := Value{regBinary, access}
	return []entry{
		{keyApp, "", text(description)},
		{keyApp, "DllSurrogate", text("")}, // the system's own, dllhost.exe
		{keyApp, "AccessPermission", permission},
		{keyApp, "LaunchPermission", permission},
		{keyClass, "", text(description)},
		{keyClass, "AppID", text(CLSID)},
		{keyServer, "", text(path)},
		{keyServer, "ThreadingModel", text("Both")},
		{keyAllowed, "", text("")},
	}, nil
}

// Register makes CCG find the plugin in the DLL at path, an absolute path that
// service accounts can read. A registration that is there is replaced. If a
// step fails, those before it are undone and the error names the step; an
// error of the undoing is joined to it.
func Register(reg Registry, path string) error {
	if !isAbsolute(path) {
		return fmt.Errorf("register %q: %w: the DLL's path must be absolute", path, fault.ErrMalformed)
	}
	all, err := entries(reg, path)
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	var undo []func() error
	for _, e := range all {
		steps, err := e.write(reg)
		undo = append(undo, steps...)
		if err != nil {
			errs := []error{fmt.Errorf(`register: HKLM\%s: %w`, e.key, err)}
			for i := len(undo) - 1; i >= 0; i-- {
				errs = append(errs, undo[i]())
			}
			return errors.Join(errs...)
		}
	}
	return nil
}

// write makes the entry's key, and the parents that are missing, and sets the
// value. The steps undo what was done; they are complete even if it failed.
func (e entry) write(reg Registry) (undo []func() error, err error) {
	for at := range len(e.key) + 1 {
		if at < len(e.key) && e.key[at] != '\\' {
			continue
		}
		key := e.key[:at]
		exists, err := reg.Exists(key)
		if err != nil {
			return undo, err
		}
		if exists {
			continue
		}
		if err := reg.Create(key); err != nil {
			return undo, err
		}
		undo = append(undo, func() error { return reg.RemoveEmpty(key) })
	}
	before, found, err := reg.Get(e.key, e.name)
	if err != nil {
		return undo, err
	}
	if err := reg.Set(e.key, e.name, e.value); err != nil {
		return undo, err
	}
	return append(undo, func() error {
		if found {
			return reg.Set(e.key, e.name, before)
		}
		return reg.Unset(e.key, e.name)
	}), nil
}

// Unregister removes the values that Register writes, and their keys where
// nothing else is in them. It goes on after an error and returns all of them;
// a plugin that is not registered is none.
func Unregister(reg Registry) error {
	all, err := entries(reg, "")
	if err != nil {
		return fmt.Errorf("unregister: %w", err)
	}
	var errs []error
	remove := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf(`unregister: HKLM\%s: %w`, key, err))
		}
	}
	// Backwards: CCG's acceptance first, subkeys before their key.
	for i := len(all) - 1; i >= 0; i-- {
		remove(all[i].key, reg.Unset(all[i].key, all[i].name))
		if i == 0 || all[i-1].key != all[i].key {
			remove(all[i].key, reg.RemoveEmpty(all[i].key))
		}
	}
	return errors.Join(errs...)
}

// Registration is what stands in the registry.
type Registration struct {
	// Path is where COM looks for the DLL; empty if the class is not registered.
	Path string
	// Problems are the values that are missing or not as Register writes them,
	// in words. None: registered.
	Problems []string
}

// Inspect reads the registration. Whether there is a DLL at its path is the
// caller's to see.
func Inspect(reg Registry) (Registration, error) {
	var found Registration
	server, ok, err := reg.Get(keyServer, "")
	if err != nil {
		return found, fmt.Errorf(`HKLM\%s: %w`, keyServer, err)
	}
	if ok {
		found.Path = server.text()
	}
	all, err := entries(reg, found.Path)
	if err != nil {
		return found, err
	}
	for _, e := range all {
		got, ok, err := reg.Get(e.key, e.name)
		switch {
		case err != nil:
			return found, fmt.Errorf(`HKLM\%s: %w`, e.key, err)
		case !ok:
			found.Problems = append(found.Problems, fmt.Sprintf(`HKLM\%s: %s is missing`, e.key, valueName(e.name)))
		case got.Type != e.value.Type || !bytes.Equal(got.Data, e.value.Data):
			found.Problems = append(found.Problems, fmt.Sprintf(`HKLM\%s: %s is not what the registration writes`, e.key, valueName(e.name)))
		}
	}
	return found, nil
}

func valueName(name string) string {
	if name == "" {
		return "the default value"
	}
	return name
}

// isAbsolute says whether path is a drive's or a share's, on every platform.
func isAbsolute(path string) bool {
	drive := len(path) > 3 && path[1:3] == `:\` && strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ", rune(path[0]&^0x20))
	return drive || strings.HasPrefix(path, `\\`)
}

// text is a REG_SZ: UTF-16, little endian, with its terminator.
func text(s string) Value {
	var data []byte
	for _, unit := range append(utf16.Encode([]rune(s)), 0) {
		data = append(data, byte(unit), byte(unit>>8))
	}
	return Value{regString, data}
}

func (v Value) text() string {
	var units []uint16
	for i := 0; i+1 < len(v.Data); i += 2 {
		unit := uint16(v.Data[i]) | uint16(v.Data[i+1])<<8
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	return string(utf16.Decode(units))
}
