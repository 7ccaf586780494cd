// Package fault holds the few error kinds that the whole project shares.
//
// An error that leaves a package wraps one of these, so that a caller far away
// (the shim wrapper, the CLI, the CCG plugin) can choose an exit code, an
// HRESULT or a hint without knowing who failed. What a platform lacks wraps
// [errors.ErrUnsupported] instead.
package fault

import "errors"

var (
	// ErrNotFound says that what was named does not exist.
	ErrNotFound = errors.New("not found")
	// ErrDenied says that it exists and this caller may not have it.
	ErrDenied = errors.New("denied")
	// ErrUnavailable says that it could not be asked for now; a later try may succeed.
	ErrUnavailable = errors.New("unavailable")
	// ErrMalformed says that the input is wrong; a later try will fail the same way.
	ErrMalformed = errors.New("malformed")
)
