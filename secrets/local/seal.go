package local

import (
	"fmt"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// keeper has what seals passwords on this host.
type keeper interface {
	// sealedBy is what the header of a file says.
	sealedBy() string
	// key returns the key that seals and opens. create makes one if there is
	// none; it is set only while the store's lock is held, and only if there is
	// no secret yet that a lost key may have sealed.
	key(create bool) (key, error)
}

// key seals passwords. bound is not sealed, but unseal fails if it differs.
type key interface {
	id() string // names the key, without telling it; empty if there is only one
	seal(plain, bound []byte) ([]byte, error)
	unseal(sealed, bound []byte) ([]byte, error)
	wipe()
}

const (
	byXChaCha = "xchacha20poly1305"
	byDPAPI   = "dpapi-machine"
)

// errSealedElsewhere is for a file that another platform's store wrote.
func errSealedElsewhere(by string) error {
	switch by {
	case byXChaCha, byDPAPI:
		return fmt.Errorf("%w: sealed by %s, which this platform's store does not use", fault.ErrMalformed, by)
	}
	return damaged("sealed by something unknown")
}

// errTampered is all that an authenticated cipher says.
func errTampered() error {
	return fmt.Errorf("%w: the file was tampered with, damaged, or sealed on another host", fault.ErrMalformed)
}
