package credspec

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// SetHostAccountConfig returns the document with this HostAccountConfig in the
// place of the one it had, if it had one.
//
// Every other byte stays as it is: members that are not known (inside
// HostAccountConfig too), their order, white space, escapes, a byte order mark.
// What is added stands at the end of its object. data is not changed.
//
// It refuses, with fault.ErrMalformed, every document that [Parse] refuses (so
// that the result has one meaning), one without an ActiveDirectoryConfig, a
// value that is not UTF-8 or has a NUL in it, and a result longer than MaxSize.
func SetHostAccountConfig(data []byte, h HostAccountConfig) ([]byte, error) {
	r, err := read(data)
	if err != nil {
		return nil, err
	}
	config, err := r.root.Member(nameADConfig)
	switch {
	case err != nil: // read has refused it already
		return nil, fmt.Errorf("credential spec: %w: %w", err, fault.ErrMalformed)
	case config == nil:
		line, column := jsontree.Place(data, r.root.Start)
		return nil, &ParseError{Path: "/" + nameADConfig, Line: line, Column: column, Message: "is missing"}
	}
	pairs := []jsontree.Pair{
		{Name: nameVersion, Value: jsontree.Quote(h.PortableCcgVersion)},
		{Name: nameGUID, Value: jsontree.Quote(h.PluginGUID)},
		{Name: nameInput, Value: jsontree.Quote(h.PluginInput)},
	}
	for name, value := range map[string]string{nameVersion: h.PortableCcgVersion, nameGUID: h.PluginGUID, nameInput: h.PluginInput} {
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("credential spec: the %s to set is not UTF-8 or has a NUL in it: %w", name, fault.ErrMalformed)
		}
	}
	host, err := config.Value.Member(nameHostAccount)
	var edits []jsontree.Edit
	switch {
	case err != nil:
	case host != nil && host.Value.Kind == jsontree.Object:
		edits, err = jsontree.Set(&host.Value, pairs...)
	default: // absent or null
		edits, err = jsontree.Set(&config.Value, jsontree.Pair{Name: nameHostAccount, Value: jsontree.Compose(pairs...)})
	}
	if err != nil {
		return nil, fmt.Errorf("credential spec: %w: %w", err, fault.ErrMalformed)
	}
	out := jsontree.Apply(data, edits...)
	if len(out) > MaxSize {
		return nil, fmt.Errorf("credential spec: with the HostAccountConfig it is longer than %d bytes: %w", MaxSize, fault.ErrMalformed)
	}
	return out, nil
}
