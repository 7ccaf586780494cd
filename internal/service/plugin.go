package service

import (
	"encoding/json"
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// CCGPlugin is the registration of CCG's plugin.
func CCGPlugin(reg ccgplugin.Registry) Registration { return plugin{reg} }

type plugin struct{ reg ccgplugin.Registry }

// Differences leaves out what no registration heals: `gmsa-agent plugin status`
// has that, with its remedies.
func (p plugin) Differences(dll string) ([]string, error) {
	found, err := ccgplugin.Compare(p.reg, dll)
	if err != nil {
		return nil, err
	}
	if found.Nothing {
		return []string{"CCG's plugin is not registered"}, nil
	}
	var differences []string
	for _, d := range found.Differences {
		if d.Remedy == "" {
			at := d.Place
			if d.Value != "" {
				at += ", " + d.Value
			}
			differences = append(differences, fmt.Sprintf("CCG's plugin: %s: %s", at, d.Problem))
		}
	}
	return differences, nil
}

func (p plugin) Register(dll string) error { return ccgplugin.Register(p.reg, dll) }

func (p plugin) Save() (json.RawMessage, error) {
	snapshot, err := ccgplugin.Capture(p.reg)
	if err != nil {
		return nil, err
	}
	return json.Marshal(snapshot.Save())
}

func (p plugin) Restore(saved json.RawMessage) error {
	var s ccgplugin.Saved
	if err := json.Unmarshal(saved, &s); err != nil {
		return fmt.Errorf("saved registration: %w: %w", fault.ErrMalformed, err)
	}
	snapshot, err := s.Snapshot()
	if err != nil {
		return err
	}
	return snapshot.Restore(p.reg)
}
