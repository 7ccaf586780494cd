package ccgplugin

import (
	"fmt"
	"strings"
)

// keyOwnership is where a registration notes the owner and the access list of
// a key before it makes that key its own, and for as long as it is: a value for
// each key, named as the key. If the registration is killed in that moment, the
// next one finds the note, and so does Compare.
const (
	keyProduct   = `SOFTWARE\gmsa-agent`
	keyOwnership = keyProduct + `\Ownership`
)

// brokenOff finds what a registration that was killed did not give back.
func brokenOff(reg Registry) ([]Difference, error) {
	keys, _, err := reg.List(keyOwnership)
	if err != nil {
		return nil, fmt.Errorf(`HKLM\%s: %w`, keyOwnership, err)
	}
	var found []Difference
	for _, key := range keys {
		v, ok, err := reg.Get(keyOwnership, key)
		if err != nil {
			return nil, fmt.Errorf(`HKLM\%s: %w`, keyOwnership, err)
		}
		if !ok {
			continue
		}
		d := Difference{
			Severity: Broken, Place: place(key),
			Problem: "has the owner and the access list of a registration that was broken off",
			Effect:  "none for CCG: administrators can write to the key as they can to others, and Windows does not want them to",
			steps:   []step{{action: GiveBack, Key: key, value: v}},
		}
		if _, err := readDescriptor(v.Data); err != nil || v.Type != regBinary || !ofRegistration(key) {
			d.Place, d.Value, d.steps = place(keyOwnership), valueName(key), nil
			d.Problem = "is no note of a registration"
			d.Effect = "none"
			d.Remedy = `reg delete "HKLM\` + keyOwnership + `" /f`
			d.Severity = Flawed
		}
		found = append(found, d)
	}
	return found, nil
}

// ofRegistration says whether a registration may have had to own the key: one
// of its keys, or one above.
func ofRegistration(key string) bool {
	for _, root := range roots() {
		if key == root || strings.HasPrefix(root, key+`\`) || strings.HasPrefix(key, root+`\`) {
			return key != ""
		}
	}
	return false
}
