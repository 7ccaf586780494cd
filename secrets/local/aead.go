package local

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"golang.org/x/crypto/chacha20poly1305"
)

// aeadKey seals with XChaCha20-Poly1305, whose nonces are long enough to be
// drawn at random for ever.
type aeadKey []byte

func (k aeadKey) id() string {
	text := append([]byte("gmsa-agent local store key id\n"), k...)
	defer clear(text)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func (k aeadKey) seal(plain, bound []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(k)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(nonce, nonce, plain, bound), nil
}

func (k aeadKey) unseal(sealed, bound []byte) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(k)
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, errTampered()
	}
	plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], bound)
	if err != nil {
		return nil, errTampered()
	}
	return plain, nil
}

func (k aeadKey) wipe() { clear(k) }
