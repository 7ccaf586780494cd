package ccgplugin

import (
	"fmt"
	"slices"
	"strings"
)

// changeRights are the rights on a key that let their holder put another DLL
// in the plugin's place: KEY_SET_VALUE, KEY_CREATE_SUB_KEY, KEY_CREATE_LINK,
// DELETE, WRITE_DAC, WRITE_OWNER, GENERIC_ALL and GENERIC_WRITE.
const changeRights = 0x2 | 0x4 | 0x20 | 0x10000 | 0x40000 | 0x80000 | 0x10000000 | 0x40000000

// The rights that a key of ours gets where it had no access list: KEY_ALL_ACCESS
// and KEY_READ.
const (
	keyAll  = 0xF003F
	keyRead = 0x20019
)

// trusted may change the registration: who they are could change all else.
var trusted = []string{sidSystem, sidAdministrators, sidTrustedInstaller, sidCreatorOwner, sidOwnerRights}

// strangers are the accounts beyond those that have one of the rights.
func (d descriptor) strangers(rights uint32) []string {
	if d.open {
		return []string{"Everyone"}
	}
	var found []string
	if !slices.Contains(trusted, d.owner) {
		found = append(found, account(d.owner)+" (its owner)")
	}
	for _, a := range d.list {
		if a.opens(rights) && !slices.Contains(found, account(a.sid)) {
			found = append(found, account(a.sid))
		}
	}
	return found
}

// opens says whether an entry gives a stranger one of the rights.
func (a access) opens(rights uint32) bool {
	return (a.kind == aceAllow || a.kind == aceAllowCallback) && a.flags&aceInheritOnly == 0 && a.mask&rights != 0 && !slices.Contains(trusted, a.sid)
}

// closed is d without what it gives strangers.
func (d descriptor) closed() descriptor {
	c := descriptor{owner: d.owner, protected: true}
	if !slices.Contains(trusted, c.owner) {
		c.owner = sidAdministrators
	}
	if d.open {
		c.list = []access{{aceAllow, 0, keyAll, sidSystem}, {aceAllow, 0, keyAll, sidAdministrators}, {aceAllow, 0, keyRead, "S-1-5-32-545"}}
		return c
	}
	for _, a := range d.list {
		switch {
		case a.kind != aceAllow && a.kind != aceDeny:
			continue // conditions are not copied
		case a.opens(changeRights):
			if a.mask&^changeRights == 0 {
				continue
			}
			a.mask &^= changeRights
		}
		a.flags &^= aceInherited
		c.list = append(c.list, a)
	}
	return c
}

// exposed finds the keys that others than administrators can change.
func exposed(reg Registry) ([]Difference, error) {
	var found []Difference
	for _, key := range []string{keyApp, keyClass, keyServer, keyAllowed} {
		sd, err := reg.Security(key)
		if err != nil {
			return nil, fmt.Errorf(`HKLM\%s: %w`, key, err)
		}
		if sd == nil {
			continue
		}
		d, err := readDescriptor(sd)
		if err != nil {
			return nil, fmt.Errorf(`HKLM\%s: %w`, key, err)
		}
		if who := d.strangers(changeRights); len(who) > 0 {
			found = append(found, Difference{
				Severity: Broken, Place: place(key),
				Problem: "can be changed by " + strings.Join(who, ", "),
				Effect:  "none that Windows shows: whoever changes it can put a DLL of his own in the plugin's place, and is given containers' grant tokens",
				steps:   []step{{action: SetAccess, Key: key, value: Value{Data: d.closed().bytes()}}},
			})
		}
	}
	return found, nil
}

// services are the groups that each account of a service is in, and that a file
// is opened to when services are to read it.
var services = []string{"S-1-1-0", "S-1-5-11", sidService, "S-1-5-32-545"}

// ServicesMay says whether a file's access list, in its self-relative security
// descriptor, gives the accounts of services all the rights of a file. What
// denies only some of them is not seen.
func ServicesMay(sd []byte, rights uint32) (bool, error) {
	d, err := readDescriptor(sd)
	if err != nil || d.open {
		return err == nil, err
	}
	const (
		genericAll, genericExecute, genericRead = 0x10000000, 0x20000000, 0x80000000
		fileReadData, fileExecute               = 0x1, 0x20
	)
	var allowed uint32
	for _, a := range d.list {
		if a.flags&aceInheritOnly != 0 || !slices.Contains(services, a.sid) {
			continue
		}
		mask := a.mask
		if mask&genericAll != 0 {
			mask |= ^uint32(0)
		}
		if mask&genericRead != 0 {
			mask |= fileReadData
		}
		if mask&genericExecute != 0 {
			mask |= fileExecute
		}
		switch a.kind {
		case aceAllow:
			allowed |= mask
		case aceDeny: // it stands first, and what comes later does not undo it
			if mask&rights&^allowed != 0 {
				return false, nil
			}
		}
	}
	return allowed&rights == rights, nil
}
