package local

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// dpapi seals for this machine: every process on it could open the result if
// it could read the file, nothing on any other machine can. The agent runs as
// SYSTEM and the CLI as an administrator, so that a user's scope can't be used.
type dpapi struct{}

func newKeeper(string) keeper { return dpapi{} }

func (dpapi) sealedBy() string { return byDPAPI }

func (d dpapi) key(by string, _ bool) (key, error) {
	if by != byDPAPI {
		return nil, errSealedElsewhere(by)
	}
	return d, nil
}

func (dpapi) id() string { return "" }
func (dpapi) wipe()      {}

const dpapiFlags = windows.CRYPTPROTECT_LOCAL_MACHINE | windows.CRYPTPROTECT_UI_FORBIDDEN

// entropy binds what is not sealed: DPAPI mixes it into the key, so that
// nothing opens with another one. It is no secret.
func entropy(bound []byte) windows.DataBlob {
	sum := sha256.Sum256(append([]byte("gmsa-agent local store\n"), bound...))
	return blob(sum[:])
}

func blob(b []byte) windows.DataBlob {
	return windows.DataBlob{Size: uint32(len(b)), Data: unsafe.SliceData(b)}
}

// take copies what DPAPI allocated, and overwrites and frees it.
func take(out windows.DataBlob) []byte {
	his := unsafe.Slice(out.Data, out.Size)
	b := append([]byte(nil), his...)
	clear(his)
	_, _ = windows.LocalFree(windows.Handle(unsafe.Pointer(out.Data)))
	return b
}

func (dpapi) seal(plain, bound []byte) ([]byte, error) {
	in, with := blob(plain), entropy(bound)
	var out windows.DataBlob
	if err := windows.CryptProtectData(&in, nil, &with, 0, nil, dpapiFlags, &out); err != nil {
		return nil, fmt.Errorf("%w: CryptProtectData: %w", fault.ErrUnavailable, err)
	}
	return take(out), nil
}

func (dpapi) unseal(sealed, bound []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, errTampered()
	}
	in, with := blob(sealed), entropy(bound)
	var out windows.DataBlob
	err := windows.CryptUnprotectData(&in, nil, &with, 0, nil, dpapiFlags, &out)
	switch {
	case errors.Is(err, windows.ERROR_INVALID_DATA), errors.Is(err, windows.ERROR_INVALID_PARAMETER), errors.Is(err, windows.Errno(windows.NTE_BAD_KEY_STATE)):
		// Wrong entropy or a flipped bit; a blob that is none; another machine's.
		return nil, fmt.Errorf("%w (CryptUnprotectData: %w)", errTampered(), err)
	case err != nil:
		return nil, fmt.Errorf("%w: CryptUnprotectData: %w", fault.ErrUnavailable, err)
	}
	return take(out), nil
}
