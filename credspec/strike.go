package credspec

import (
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// Struck is what stands in the place of a struck text.
const Struck = "(redacted)"

// Strike returns the document with everything that a plugin is told struck out:
// for some plugins it is as good as a password. In HostAccountConfig only the
// version and the plugin's GUID are left, whatever else is there. Every other byte
// stays as it is. It refuses, with fault.ErrMalformed, what [Parse] refuses.
func Strike(data []byte) ([]byte, error) {
	r, err := read(data)
	if err != nil {
		return nil, err
	}
	config, err := r.root.Member(nameADConfig)
	if err != nil || config == nil || config.Value.Kind != jsontree.Object {
		return data, nil // read has refused an error already
	}
	host, err := config.Value.Member(nameHostAccount)
	if err != nil || host == nil || host.Value.Kind != jsontree.Object {
		return data, nil
	}
	var pairs []jsontree.Pair
	for _, m := range host.Value.Members {
		if m.Name != nameVersion && m.Name != nameGUID {
			pairs = append(pairs, jsontree.Pair{Name: m.Name, Value: jsontree.Quote(Struck)})
		}
	}
	if len(pairs) == 0 {
		return data, nil
	}
	edits, err := jsontree.Set(&host.Value, pairs...)
	if err != nil {
		return nil, fmt.Errorf("credential spec: %w: %w", err, fault.ErrMalformed)
	}
	return jsontree.Apply(data, edits...), nil
}
