package grant

import "fmt"

// Check says whether [Registry.Add] could journal g, for callers who record a
// decision before they add its grant. It says nothing about whether the file
// can be written. g must be complete: every text counts. The error wraps
// fault.ErrMalformed.
func (*Registry) Check(g Grant) error {
	if _, err := encodeLine(operation{Add: &g}); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	return nil
}
