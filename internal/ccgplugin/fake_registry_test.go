package ccgplugin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fakeRegistry has the keys that Windows has by itself.
type fakeRegistry struct {
	keys   map[string]map[string]Value
	access map[string]descriptor // of keys that have another than usual
	fail   int                   // the write that fails, from 1
	killed int                   // the write before which the process is killed, from 1
	wrote  int
}

var (
	errFull   = errors.New("the disk is full")
	errKilled = errors.New("the process was killed")
)

// usual is the access list of a key that nobody has changed.
var usual = descriptor{owner: sidAdministrators, list: []access{
	{aceAllow, aceInherited, keyAll, sidSystem}, {aceAllow, aceInherited, keyAll, sidAdministrators}, {aceAllow, aceInherited, keyRead, "S-1-5-32-545"},
}}

func newRegistry() *fakeRegistry {
	r := &fakeRegistry{keys: map[string]map[string]Value{}, access: map[string]descriptor{}}
	for _, key := range []string{
		`SOFTWARE\Classes\CLSID`, `SOFTWARE\Classes\AppID`, `SOFTWARE\Classes\WOW6432Node\CLSID`, `SYSTEM\CurrentControlSet\Control`, keyMarshaller,
	} {
		for _, k := range append(ancestors(key), key) {
			r.keys[k] = map[string]Value{}
		}
	}
	r.keys[keyMarshaller][""] = text("{A6FF50C0-56C0-71CA-5732-BED303A59628}")
	return r
}

func (r *fakeRegistry) write() error {
	switch r.wrote++; r.wrote {
	case r.fail:
		return errFull
	case r.killed:
		panic(errKilled)
	}
	return nil
}

func (r *fakeRegistry) Exists(key string) (bool, error) {
	_, ok := r.keys[key]
	return ok, nil
}

func (r *fakeRegistry) Create(key string) error {
	if err := r.write(); err != nil {
		return err
	}
	if parent, _ := lastPart(key); r.keys[parent] == nil {
		return fmt.Errorf("%s has no parent", key)
	}
	if r.keys[key] == nil {
		r.keys[key] = map[string]Value{}
	}
	return nil
}

func (r *fakeRegistry) List(key string) (values, subkeys []string, err error) {
	for other := range r.keys {
		if parent, name := lastPart(other); parent == key && key != "" {
			subkeys = append(subkeys, name)
		}
	}
	return slices.Sorted(maps.Keys(r.keys[key])), subkeys, nil
}

func (r *fakeRegistry) Get(key, name string) (Value, bool, error) {
	v, ok := r.keys[key][name]
	return v, ok, nil
}

func (r *fakeRegistry) Set(key, name string, v Value) error {
	if err := r.write(); err != nil {
		return err
	}
	if r.keys[key] == nil {
		return fmt.Errorf("%s is not there", key)
	}
	r.keys[key][name] = v
	return nil
}

func (r *fakeRegistry) Unset(key, name string) error {
	if _, ok := r.keys[key][name]; !ok {
		return nil
	}
	if err := r.write(); err != nil {
		return err
	}
	delete(r.keys[key], name)
	return nil
}

func (r *fakeRegistry) RemoveEmpty(key string) error {
	for other := range r.keys {
		if strings.HasPrefix(other, key+`\`) {
			return nil
		}
	}
	if values, ok := r.keys[key]; ok && len(values) == 0 {
		if err := r.write(); err != nil {
			return err
		}
		delete(r.keys, key)
		delete(r.access, key)
	}
	return nil
}

func (r *fakeRegistry) Security(key string) ([]byte, error) {
	if r.keys[key] == nil {
		return nil, nil
	}
	if d, ok := r.access[key]; ok {
		return d.bytes(), nil
	}
	return usual.bytes(), nil
}

func (r *fakeRegistry) SetSecurity(key string, sd []byte) error {
	if err := r.write(); err != nil {
		return err
	}
	d, err := readDescriptor(sd)
	if err != nil || r.keys[key] == nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	r.access[key] = d
	if d.sameAccess(usual) {
		delete(r.access, key)
	}
	return nil
}

// state is all that is in the registry, to be compared.
func (r *fakeRegistry) state() map[string]string {
	s := map[string]string{}
	for key, values := range r.keys {
		s[key] = ""
		if d, ok := r.access[key]; ok {
			s[key] = d.String()
		}
		for name, v := range values {
			s[key+":"+name] = fmt.Sprint(v.Type, v.Data)
		}
	}
	return s
}
