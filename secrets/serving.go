package secrets

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Serving returns the one entry that serves the domain with these names, as
// [Credential.Serves] says. None wraps
// fault.ErrNotFound. More than one wraps fault.ErrMalformed and names them: to
// guess would be to use an account that nobody chose. None, but entries that
// could not be read, wraps their errors: one of them may be the one.
func Serving(entries []Entry, dns, netbios string) (Entry, error) {
	var found []Entry
	var broken []error
	for _, e := range entries {
		switch {
		case e.Err != nil:
			broken = append(broken, e.Err)
		case sameDomain(e.Domain, dns, netbios):
			found = append(found, e)
		}
	}
	domain := dns
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var refs []string
		for _, e := range found {
			refs = append(refs, e.Ref.String())
		}
		return Entry{}, malformed("%d secrets serve the domain %s (%s): one must be named", len(found), domain, strings.Join(refs, ", "))
	case broken != nil:
		return Entry{}, fmt.Errorf("no secret that can be read serves the domain %s: %w", domain, errors.Join(broken...))
	}
	return Entry{}, fmt.Errorf("no secret serves the domain %s: %w", domain, fault.ErrNotFound)
}
