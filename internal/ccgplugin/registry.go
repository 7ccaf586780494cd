package ccgplugin

import "unicode/utf16"

// Types of registry values.
//
// https://learn.microsoft.com/windows/win32/sysinfo/registry-value-types
const (
	regString uint32 = 1 // REG_SZ
	regBinary uint32 = 3 // REG_BINARY
)

var typeNames = []string{"REG_NONE", "REG_SZ", "REG_EXPAND_SZ", "REG_BINARY", "REG_DWORD", "REG_DWORD_BIG_ENDIAN", "REG_LINK", "REG_MULTI_SZ"}

// Value is a registry value as it is stored.
type Value struct {
	Type uint32
	Data []byte
}

// Registry is HKEY_LOCAL_MACHINE, as the registration needs it. Keys are paths
// with backslashes. What is absent is not an error for List, Get, Security,
// Unset and RemoveEmpty.
type Registry interface {
	// Exists says whether there is such a key.
	Exists(key string) (bool, error)
	// Create makes a key whose parent exists; one that exists is left as it is.
	Create(key string) error
	// List names what is in a key; its default value is "".
	List(key string) (values, subkeys []string, err error)
	Get(key, name string) (v Value, found bool, err error)
	Set(key, name string, v Value) error
	Unset(key, name string) error
	// RemoveEmpty removes a key that has neither values nor subkeys, and
	// leaves one that has.
	RemoveEmpty(key string) error
	// Security is a key's owner and access list, as a self-relative security
	// descriptor; nil if there is no such key.
	Security(key string) ([]byte, error)
	// SetSecurity gives a key that owner and that access list.
	SetSecurity(key string, sd []byte) error
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

// lastPart is a key's own name, and what is above it.
func lastPart(key string) (parent, name string) {
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] == '\\' {
			return key[:i], key[i+1:]
		}
	}
	return "", key
}
