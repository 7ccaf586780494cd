package directory

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/types"
)

// etypes are the encryption types that are offered, the best first. RC4 is not
// among them: whoever sits in between could ask for it, and an RC4 key is an
// unsalted hash of the password.
var etypes = []int32{etypeID.AES256_CTS_HMAC_SHA1_96, etypeID.AES128_CTS_HMAC_SHA1_96}

// Iterations of PBKDF2 (RFC 3962). Every AD has the default. A KDC that wants
// fewer is refused, because they would make it cheap to guess the password from
// what it gets; one that wants many more, because it could be anybody.
const (
	defaultIterations = 4096
	maxIterations     = 1 << 20
)

// stringToKey derives a principal's key from its password in UTF-8 (RFC 3962 4).
func stringToKey(etype int32, password []byte, salt string, iterations uint32) (types.EncryptionKey, error) {
	et, err := crypto.GetEtype(etype)
	if err != nil {
		return types.EncryptionKey{}, err
	}
	// The string shares the password's memory, so that there is no copy which
	// nobody can wipe; pbkdf2 does not keep it.
	secret := unsafe.String(unsafe.SliceData(password), len(password))
	seed, err := pbkdf2.Key(sha1.New, secret, []byte(salt), int(iterations), et.GetKeyByteSize())
	if err != nil {
		return types.EncryptionKey{}, err
	}
	defer clear(seed)
	key, err := et.DeriveKey(seed, []byte("kerberos"))
	return types.EncryptionKey{KeyType: etype, KeyValue: key}, err
}

// userSalt is the salt of a user's keys where the KDC names none (RFC 4120 4).
func userSalt(realm, name string) string { return realm + name }

// gmsaSalt is the salt of a gMSA's keys, the same as a computer's (MS-KILE 3.1.1.2).
func gmsaSalt(realm, account string) string {
	return realm + "host" + strings.ToLower(account) + "." + strings.ToLower(realm)
}

// minCiphertext is a confounder and a checksum. gokrb5 takes for granted that
// a ciphertext is at least that long.
const minCiphertext = 16 + 12

// decrypt decrypts what another party sent.
func decrypt(data types.EncryptedData, key types.EncryptionKey, usage uint32) ([]byte, error) {
	if data.EType != key.KeyType {
		return nil, fmt.Errorf("encrypted with type %d in place of %d", data.EType, key.KeyType)
	}
	if len(data.Cipher) < minCiphertext {
		return nil, errors.New("the ciphertext is cut short")
	}
	et, err := crypto.GetEtype(key.KeyType)
	if err != nil {
		return nil, err
	}
	return et.DecryptMessage(key.KeyValue, data.Cipher, usage)
}

// keySize is the length in bytes of a key of one of our types (RFC 3962 6).
func keySize(etype int32) int {
	if etype == etypeID.AES128_CTS_HMAC_SHA1_96 {
		return 16
	}
	return 32
}
