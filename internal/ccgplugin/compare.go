package ccgplugin

import (
	"fmt"
	"slices"
	"strings"
)

// Severity is how much a difference matters.
type Severity string

// The severities.
const (
	// Broken is what keeps CCG from using the plugin, or gives credentials away.
	Broken Severity = "error"
	// Flawed is what does not, by itself.
	Flawed Severity = "warning"
)

// Difference is one thing about the registration that is not as it should be.
type Difference struct {
	Severity Severity
	Place    string // a key, `HKLM\…`, or a file
	Value    string // the value's name, "(Default)" for the default one; empty: the place itself
	Problem  string
	Effect   string // as Windows shows it
	Remedy   string // empty: Register heals it
	steps    []step
}

// Comparison is the registration beside what it should be.
type Comparison struct {
	// Path is the DLL that is registered; empty: none is.
	Path string
	// Nothing says that there is no trace of a registration.
	Nothing     bool
	Differences []Difference
}

// Broken says whether a difference keeps CCG from using the plugin.
func (c Comparison) Broken() bool {
	return slices.ContainsFunc(c.Differences, func(d Difference) bool { return d.Severity == Broken })
}

// Compare reads the registration and compares it with that of the DLL at path;
// an empty path is the one that is registered. Whether there is a DLL at it is
// the caller's to see.
func Compare(reg Registry, path string) (Comparison, error) {
	var c Comparison
	server, ok, err := reg.Get(keyServer, "")
	if err != nil {
		return c, fmt.Errorf(`HKLM\%s: %w`, keyServer, err)
	}
	if ok && server.Type == regString {
		c.Path = server.text()
	}
	if path == "" {
		path = c.Path
	}
	for _, part := range []func(Registry) ([]Difference, error){
		brokenOff, inTheWay, exposed,
		func(reg Registry) ([]Difference, error) { return ofEntries(reg, entries(path)) },
		marshaller,
	} {
		found, err := part(reg)
		if err != nil {
			return c, err
		}
		c.Differences = append(c.Differences, found...)
	}
	c.Nothing = true
	for _, key := range roots() {
		exists, err := reg.Exists(key)
		if err != nil {
			return c, fmt.Errorf(`HKLM\%s: %w`, key, err)
		}
		c.Nothing = c.Nothing && !exists
	}
	return c, nil
}

// ofEntries compares the values. A key that is missing as a whole is told once.
func ofEntries(reg Registry, all []entry) ([]Difference, error) {
	var found []Difference
	for i, e := range all {
		set := step{action: SetValue, Key: e.key, Name: e.name, value: e.value}
		exists, err := reg.Exists(e.key)
		if err != nil {
			return nil, fmt.Errorf(`HKLM\%s: %w`, e.key, err)
		}
		if !exists {
			if i > 0 && all[i-1].key == e.key {
				last := &found[len(found)-1]
				last.steps = append(last.steps, set)
				continue
			}
			found = append(found, Difference{
				Severity: Broken, Place: place(e.key), Problem: "the key is missing", Effect: keyMissing[e.key], steps: []step{set},
			})
			continue
		}
		got, ok, err := reg.Get(e.key, e.name)
		if err != nil {
			return nil, fmt.Errorf(`HKLM\%s: %w`, e.key, err)
		}
		if ok && e.same(got) {
			continue
		}
		d := Difference{Severity: Broken, Place: place(e.key), Value: valueName(e.name), Problem: "is missing", Effect: e.missing, steps: []step{set}}
		if ok {
			d.Problem, d.Effect = e.problem(got), e.other
		}
		if e.cosmetic {
			d.Severity = Flawed
		}
		found = append(found, d)
	}
	return found, nil
}

// inTheWay finds the obstacles.
func inTheWay(reg Registry) ([]Difference, error) {
	var found []Difference
	for _, o := range obstacles {
		d := Difference{Severity: Broken, Place: place(o.key), Effect: o.effect}
		if strings.HasPrefix(o.effect, "none") {
			d.Severity = Flawed
		}
		if o.whole {
			exists, err := reg.Exists(o.key)
			if err != nil {
				return nil, fmt.Errorf(`HKLM\%s: %w`, o.key, err)
			}
			if exists {
				d.Problem = "the key must not be there: " + o.why
				d.steps = []step{{action: RemoveKey, Key: o.key}}
				found = append(found, d)
			}
			continue
		}
		got, ok, err := reg.Get(o.key, o.name)
		if err != nil {
			return nil, fmt.Errorf(`HKLM\%s: %w`, o.key, err)
		}
		if ok {
			d.Value = valueName(o.name)
			d.Problem = "must not be there: " + o.why
			if got.Type == regString {
				d.Problem = "is " + quoted(got.text()) + " and " + d.Problem
			}
			d.steps = []step{{action: RemoveValue, Key: o.key, Name: o.name}}
			found = append(found, d)
		}
	}
	return found, nil
}

// marshaller looks for what carries the calls from CCG to the plugin's host. It
// is a part of Windows, which the registration leaves alone.
func marshaller(reg Registry) ([]Difference, error) {
	v, ok, err := reg.Get(keyMarshaller, "")
	if err != nil {
		return nil, fmt.Errorf(`HKLM\%s: %w`, keyMarshaller, err)
	}
	if ok && v.text() != "" {
		return nil, nil
	}
	return []Difference{{
		Severity: Broken, Place: place(keyMarshaller), Value: valueName(""),
		Problem: "is missing: Windows' feature Containers is not installed, or the host was not started anew since",
		Effect:  notInstantiated + "No such interface supported (0x80004002)",
		Remedy:  "Install-WindowsFeature -Name Containers -Restart",
	}}, nil
}

func place(key string) string { return `HKLM\` + key }

func valueName(name string) string {
	if name == "" {
		return "(Default)"
	}
	return name
}
