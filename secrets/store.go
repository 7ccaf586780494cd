package secrets

import (
	"context"
	"time"
)

// Store fetches the secrets of one scheme.
//
// Fetch returns what the store holds now; it keeps nothing between calls. The
// caller owns the credential and wipes it. Fetch may be called by many
// goroutines at once and returns soon after ctx ends.
//
// Its error names the reference and the cause, contains no part of what was
// fetched, and wraps exactly one of
//
//   - fault.ErrNotFound: the store was asked and has no such secret;
//   - fault.ErrDenied: the store knows this caller and refuses;
//   - fault.ErrUnavailable: the store could not be asked or did not answer
//     (ctx's error, if that is the cause, is wrapped beside it);
//   - fault.ErrMalformed: the reference is none of this store's, or what is
//     stored is not a credential or was damaged;
//   - errors.ErrUnsupported: this store cannot work here, and why.
//
// A fault.ErrUnavailable may wrap a [Throttle]. A store that holds a session, a
// watch or a connection open is an io.Closer, too.
type Store interface {
	Fetch(ctx context.Context, ref Ref) (*Credential, error)
}

// Lister is a Store that can say what it holds without fetching passwords.
type Lister interface {
	// List returns an entry for each secret, sorted by reference. A secret that
	// cannot be read is an entry too, with its Err set. List's own error says
	// which store could not be listed; entries beside it are good.
	List(ctx context.Context) ([]Entry, error)
}

// Entry describes one secret of a store. Nothing in it is secret.
type Entry struct {
	Ref          Ref
	Domain, User string
	Version      string    // as Credential.Version
	Modified     time.Time // when it was last written
	Err          error     // why Domain and User are not known; nil if they are
}

// Verifier is a Store that can tell cheaply, without fetching, whether what
// was fetched before is still what it holds.
type Verifier interface {
	// Current reports false if the secret was replaced or removed since it was
	// fetched with this version, or if that cannot be seen. It is called for
	// each cached fetch, so it must take microseconds. For a store that has no
	// way of knowing, a [Mux] answers true: only time can tell then.
	Current(ctx context.Context, ref Ref, version string) bool
}
