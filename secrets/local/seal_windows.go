package local

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// dpapi seals with a new key each time and puts the key, protected by DPAPI for
// this machine, before what it sealed: two bytes of length, big endian, DPAPI's
// blob, and what the key sealed. So every byte is authenticated, also those of
// the blob that DPAPI's own check leaves out.
//
// Every process on the machine could open the result if it could read the file;
// nothing on another machine can. The agent runs as SYSTEM and the CLI as an
// administrator: a user's scope can't be used.
type dpapi struct{}

func newKeeper(string) keeper { return dpapi{} }

func (dpapi) sealedBy() string        { return byDPAPI }
func (d dpapi) key(bool) (key, error) { return d, nil }
func (dpapi) id() string              { return "" }
func (dpapi) wipe()                   {}

func (dpapi) seal(plain, bound []byte) ([]byte, error) {
	k := make(aeadKey, chacha20poly1305.KeySize)
	defer k.wipe()
	_, _ = rand.Read(k) // never fails
	blob, err := protect(k, bound)
	if err != nil {
		return nil, err
	}
	front := append(binary.BigEndian.AppendUint16(nil, uint16(len(blob))), blob...)
	sealed, err := k.seal(plain, slices.Concat(front, bound))
	if err != nil {
		return nil, err
	}
	return slices.Concat(front, sealed), nil
}

func (dpapi) unseal(sealed, bound []byte) ([]byte, error) {
	if len(sealed) < 2 {
		return nil, errTampered()
	}
	n := 2 + int(binary.BigEndian.Uint16(sealed))
	if len(sealed) < n {
		return nil, errTampered()
	}
	b, err := unprotect(sealed[2:n], bound)
	if err != nil {
		return nil, err
	}
	k := aeadKey(b)
	defer k.wipe()
	if len(k) != chacha20poly1305.KeySize {
		return nil, errTampered()
	}
	return k.unseal(sealed[n:], slices.Concat(sealed[:n], bound))
}

const dpapiFlags = windows.CRYPTPROTECT_LOCAL_MACHINE | windows.CRYPTPROTECT_UI_FORBIDDEN

// entropy is what DPAPI mixes into the key: nothing opens with another one. It
// is no secret.
func entropy(bound []byte) windows.DataBlob {
	sum := sha256.Sum256(append([]byte("gmsa-agent local store\n"), bound...))
	return blobOf(sum[:])
}

func blobOf(b []byte) windows.DataBlob {
	return windows.DataBlob{Size: uint32(len(b)), Data: unsafe.SliceData(b)}
}

// take copies what DPAPI allocated, and overwrites and frees it.
func take(out windows.DataBlob) []byte {
	theirs := unsafe.Slice(out.Data, out.Size)
	b := append([]byte(nil), theirs...)
	clear(theirs)
	_, _ = windows.LocalFree(windows.Handle(unsafe.Pointer(out.Data)))
	return b
}

func protect(plain, bound []byte) ([]byte, error) {
	in, with := blobOf(plain), entropy(bound)
	var out windows.DataBlob
	if err := windows.CryptProtectData(&in, nil, &with, 0, nil, dpapiFlags, &out); err != nil {
		return nil, fmt.Errorf("%w: CryptProtectData: %w", fault.ErrUnavailable, err)
	}
	return take(out), nil
}

func unprotect(blob, bound []byte) ([]byte, error) {
	if len(blob) == 0 {
		return nil, errTampered()
	}
	in, with := blobOf(blob), entropy(bound)
	var out windows.DataBlob
	err := windows.CryptUnprotectData(&in, nil, &with, 0, nil, dpapiFlags, &out)
	switch {
	case err == nil:
		return take(out), nil
	case errors.Is(err, windows.ERROR_INVALID_DATA), errors.Is(err, windows.ERROR_INVALID_PARAMETER), errors.Is(err, windows.Errno(windows.NTE_BAD_KEY_STATE)):
		// Wrong entropy or a flipped bit; a blob that is none; another machine's.
		return nil, fmt.Errorf("%w (CryptUnprotectData: %w)", errTampered(), err)
	}
	return nil, fmt.Errorf("%w: CryptUnprotectData: %w", fault.ErrUnavailable, err)
}
