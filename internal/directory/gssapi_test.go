package directory

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"testing"

	kcrypto "github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/types"
)

func TestChannelBindingsHashTheCertificateAsItsSignatureDoes(t *testing.T) {
	raw := []byte("a certificate")
	s256, s384, s512 := sha256.Sum256(raw), sha512.Sum384(raw), sha512.Sum512(raw)
	for algorithm, want := range map[x509.SignatureAlgorithm][]byte{
		x509.SHA256WithRSA: s256[:], x509.SHA1WithRSA: s256[:], x509.ECDSAWithSHA256: s256[:],
		x509.ECDSAWithSHA384: s384[:], x509.SHA512WithRSAPSS: s512[:],
	} {
		got := channelBindings(&x509.Certificate{Raw: raw, SignatureAlgorithm: algorithm})
		if !bytes.Equal(got, append([]byte("tls-server-end-point:"), want...)) {
			t.Errorf("%v: %x", algorithm, got)
		}
	}
}

func TestChecksumOfNoChannelBindingsIsZero(t *testing.T) {
	// RFC 4121 4.1.1: 16, then 16 zero bytes, then the flags.
	const want = "10000000" + "00000000000000000000000000000000" + "3e000000"
	if got := hex.EncodeToString(gssChecksum(nil)); got != want {
		t.Errorf("%s", got)
	}
}

func testKey() types.EncryptionKey {
	return types.EncryptionKey{KeyType: 18, KeyValue: bytes.Repeat([]byte{7}, 32)}
}

// acceptor makes the tokens of the other side.
type acceptor struct {
	key types.EncryptionKey
	seq uint64
}

func (a *acceptor) header(flags byte) []byte {
	h := []byte{5, 4, flags | flagFromAcceptor, 0xff, 0, 0, 0, 0}
	h = binary.BigEndian.AppendUint64(h, a.seq)
	a.seq++
	return h
}

// seal makes a token as Windows does: with extra bytes and a rotation.
func (a *acceptor) seal(t testing.TB, payload []byte, extra, rotate int) []byte {
	t.Helper()
	et, err := kcrypto.GetEtype(a.key.KeyType)
	if err != nil {
		t.Fatal(err)
	}
	h := a.header(flagSealed)
	binary.BigEndian.PutUint16(h[4:], uint16(extra))
	plain := append(append(bytes.Clone(payload), make([]byte, extra)...), h...)
	_, body, err := et.EncryptMessage(a.key.KeyValue, plain, usageAcceptorSeal)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint16(h[6:], uint16(rotate))
	rotate %= len(body)
	return append(h, append(bytes.Clone(body[len(body)-rotate:]), body[:len(body)-rotate]...)...)
}

func (a *acceptor) sign(t testing.TB, payload []byte) []byte {
	t.Helper()
	et, err := kcrypto.GetEtype(a.key.KeyType)
	if err != nil {
		t.Fatal(err)
	}
	h := a.header(0)
	sum, err := et.GetChecksumHash(a.key.KeyValue, append(bytes.Clone(payload), h...), usageAcceptorSeal)
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint16(h[4:], uint16(len(sum)))
	return append(append(h, payload...), sum...)
}

func TestUnwrapTakesTheTokensOfAnAcceptor(t *testing.T) {
	a := &acceptor{key: testKey(), seq: 41}
	w := &wrapper{key: testKey(), receive: 41}
	for name, token := range map[string]func() []byte{
		"signed":                   func() []byte { return a.sign(t, []byte("payload")) },
		"sealed":                   func() []byte { return a.seal(t, []byte("payload"), 0, 0) },
		"sealed, as Windows does":  func() []byte { return a.seal(t, []byte("payload"), 16, 28) },
		"rotated by more than all": func() []byte { return a.seal(t, []byte("payload"), 0, 1000) },
	} {
		if got, err := w.unwrap(token()); err != nil || string(got) != "payload" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestUnwrapRefusesTokensThatWereTamperedWith(t *testing.T) {
	for name, tamper := range map[string]func([]byte) []byte{
		"changed payload":        func(b []byte) []byte { b[20] ^= 1; return b },
		"changed flags":          func(b []byte) []byte { b[2] ^= flagAcceptorSubkey; return b },
		"the initiator's own":    func(b []byte) []byte { b[2] &^= flagFromAcceptor; return b },
		"another token's number": func(b []byte) []byte { b[15]++; return b },
		"cut short":              func(b []byte) []byte { return b[:30] },
		"header only":            func(b []byte) []byte { return b[:wrapHeader] },
		"empty":                  func([]byte) []byte { return nil },
	} {
		for kind, token := range map[string]func(*acceptor) []byte{
			"signed": func(a *acceptor) []byte { return a.sign(t, []byte("a payload of some length")) },
			"sealed": func(a *acceptor) []byte { return a.seal(t, []byte("a payload of some length"), 0, 0) },
		} {
			a, w := &acceptor{key: testKey()}, &wrapper{key: testKey()}
			if _, err := w.unwrap(tamper(token(a))); err == nil {
				t.Errorf("%s, %s: taken", kind, name)
			}
		}
	}
}

func TestUnwrapRefusesAReplay(t *testing.T) {
	token := (&acceptor{key: testKey()}).seal(t, []byte("payload"), 0, 0)
	w := &wrapper{key: testKey()}
	if _, err := w.unwrap(token); err != nil {
		t.Fatal(err)
	}
	if _, err := w.unwrap(token); err == nil {
		t.Error("the same token twice")
	}
}

func TestASealedConnectionPutsPiecesTogether(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()   //nolint:errcheck // a pipe
	defer theirs.Close() //nolint:errcheck // a pipe
	c := &sealedConn{Conn: ours}
	c.arm(&wrapper{key: testKey()})
	a := &acceptor{key: testKey()}
	go func() {
		buf := make([]byte, 4096)
		_, _ = theirs.Read(buf) // the bind's last message, in clear
		_, _ = theirs.Read(buf) // a sealed request
		var stream []byte
		for _, s := range []string{"one ", "two ", "three"} {
			token := a.seal(t, []byte(s), 0, 0)
			stream = append(binary.BigEndian.AppendUint32(stream, uint32(len(token))), token...)
		}
		for _, b := range stream {
			_, _ = theirs.Write([]byte{b})
		}
		_ = theirs.Close()
	}()
	for _, s := range []string{"bind", "search"} {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "one two three" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestASealedConnectionRefusesAHugeToken(t *testing.T) {
	c := &sealedConn{begun: true, wrap: &wrapper{key: testKey()}, raw: []byte{0xff, 0, 0, 0}}
	if err := c.open(); err == nil {
		t.Error("4 GiB are waited for")
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add((&acceptor{key: testKey()}).seal(f, []byte("payload"), 16, 28))
	f.Add((&acceptor{key: testKey()}).sign(f, []byte("payload")))
	f.Fuzz(func(_ *testing.T, token []byte) {
		_, _ = (&wrapper{key: testKey()}).unwrap(token)
	})
}

func FuzzAPRep(f *testing.F) {
	f.Add([]byte{0x60, 15, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 2, 0, 0x6f, 0})
	f.Fuzz(func(_ *testing.T, token []byte) {
		_ = (&initiator{ticket: &ticket{key: testKey()}}).accept(token)
	})
}
