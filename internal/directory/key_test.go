package directory

import (
	"encoding/hex"
	"testing"

	"github.com/jcmturner/gokrb5/v8/types"
)

// The test vectors of RFC 3962, appendix B.
func TestStringToKeyOfRFC3962(t *testing.T) {
	for _, tt := range []struct {
		iterations     uint32
		password, salt string
		aes128, aes256 string
	}{
		{1, "password", "ATHENA.MIT.EDUraeburn", "42263c6e89f4fc28b8df68ee09799f15", "fe697b52bc0d3ce14432ba036a92e65bbb52280990a2fa27883998d72af30161"},
		{2, "password", "ATHENA.MIT.EDUraeburn", "c651bf29e2300ac27fa469d693bdda13", "a2e16d16b36069c135d5e9d2e25f896102685618b95914b467c67622225824ff"},
		{1200, "password", "ATHENA.MIT.EDUraeburn", "4c01cd46d632d01e6dbe230a01ed642a", "55a6ac740ad17b4846941051e1e8b0a7548d93b0ab30a8bc3ff16280382b8c2a"},
		{50, "\U0001d11e", "EXAMPLE.COMpianist", "f149c1f2e154a73452d43e7fe62a56e5", "4b6d9839f84406df1f09cc166db4b83c571848b784a3d6bdc346589a3e393f9e"},
	} {
		for etype, want := range map[int32]string{17: tt.aes128, 18: tt.aes256} {
			k, err := stringToKey(etype, []byte(tt.password), tt.salt, tt.iterations)
			if err != nil || hex.EncodeToString(k.KeyValue) != want {
				t.Errorf("%d iterations, type %d: %x, %v", tt.iterations, etype, k.KeyValue, err)
			}
		}
	}
}

// What `samba-tool domain exportkeytab` wrote for the managed password in testdata.
func TestKeysOfAGMSAAreThoseOfItsDomainController(t *testing.T) {
	p, err := parseManagedPassword(sampleBlob(t))
	if err != nil {
		t.Fatal(err)
	}
	salt := gmsaSalt("CONTOSO.COM", "WebApp01")
	if salt != "CONTOSO.COMhostwebapp01.contoso.com" {
		t.Errorf("salt %q", salt)
	}
	for etype, want := range map[int32]string{
		18: "356c5b8ebd2e80fbf9296c49ab94ccc919a3e99576d6f5ff5a195660f8a3efb3",
		17: "c7d6dfa639fdcddeac93dcfd1a86ff9e",
	} {
		k, err := stringToKey(etype, kerberosPassword(p.Current), salt, defaultIterations)
		if err != nil || hex.EncodeToString(k.KeyValue) != want {
			t.Errorf("type %d: %x, %v", etype, k.KeyValue, err)
		}
	}
}

func TestDecryptRefusesWhatGokrb5WouldPanicOn(t *testing.T) {
	key := types.EncryptionKey{KeyType: 18, KeyValue: make([]byte, 32)}
	for n := range 64 {
		if _, err := decrypt(types.EncryptedData{EType: 18, Cipher: make([]byte, n)}, key, 3); err == nil {
			t.Errorf("%d zero bytes decrypt", n)
		}
	}
	if _, err := decrypt(types.EncryptedData{EType: 23, Cipher: make([]byte, 64)}, key, 3); err == nil {
		t.Error("another encryption type decrypts")
	}
}
