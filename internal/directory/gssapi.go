package directory

import (
	"bytes"

	"crypto"
	"crypto/md5"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	_ "crypto/sha256" // the hashes of channelBindings
	_ "crypto/sha512"

	kcrypto "github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// initiator is SASL's GSSAPI mechanism (RFC 4752) with Kerberos (RFC 4121), in
// the form that go-ldap drives. It either binds the context to a TLS
// connection and asks for no security layer, or has everything after the bind
// sealed. go-ldap's own can do neither, and AD insists on one of them.
type initiator struct {
	ticket   *ticket
	bindings []byte      // of the TLS connection; nil: seal
	seal     *sealedConn // set if bindings is nil

	sent types.Authenticator
	wrap *wrapper
}

const usageAPRep = 12 // RFC 4120 7.5.1

var errNoContext = errors.New("GSSAPI messages out of order")

// InitSecContext is InitSecContextWithOptions.
func (g *initiator) InitSecContext(target string, token []byte) ([]byte, bool, error) {
	return g.InitSecContextWithOptions(target, token, nil)
}

// InitSecContextWithOptions makes the first token, and then takes the server's answer to it.
func (g *initiator) InitSecContextWithOptions(_ string, token []byte, _ []int) ([]byte, bool, error) {
	if token == nil {
		out, err := g.request()
		return out, true, err
	}
	return []byte{}, false, g.accept(token)
}

// DeleteSecContext has nothing to do: the keys belong to the ticket and the sealed connection.
func (g *initiator) DeleteSecContext() error { return nil }

// Flags of RFC 4121 4.1.1.1.
const (
	gssMutual   = 2
	gssReplay   = 4
	gssSequence = 8
	gssConf     = 16
	gssInteg    = 32
)

// request is the first token: an AP-REQ with a checksum that carries the
// context's flags and the channel bindings.
func (g *initiator) request() ([]byte, error) {
	auth, err := types.NewAuthenticator(g.ticket.realm, g.ticket.client)
	if err != nil {
		return nil, err
	}
	auth.Cksum = types.Checksum{CksumType: chksumtype.GSSAPI, Checksum: gssChecksum(g.bindings)}
	auth.CTime = auth.CTime.Truncate(time.Second) // as it is sent, and as the answer must have it
	g.sent = auth
	req, err := messages.NewAPReq(g.ticket.ticket, g.ticket.key, auth)
	if err != nil {
		return nil, err
	}
	types.SetFlag(&req.APOptions, flags.APOptionMutualRequired)
	b, err := req.Marshal()
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(asn1.RawValue{
		Class: asn1.ClassApplication, IsCompound: true,
		Bytes: append(append(bytes.Clone(krb5OID), tokenAPReq...), b...),
	})
}

// krb5OID is 1.2.840.113554.1.2.2 with its DER header; a token's two-byte kind follows it.
var (
	krb5OID    = []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2}
	tokenAPReq = []byte{1, 0}
	tokenAPRep = []byte{2, 0}
)

// gssChecksum is RFC 4121 4.1.1: length, MD5 of the channel bindings, flags.
func gssChecksum(bindings []byte) []byte {
	sum := binary.LittleEndian.AppendUint32(nil, 16)
	var hash [md5.Size]byte
	if bindings != nil {
		// A gss_channel_bindings_struct without addresses: four zero fields before the data.
		data := binary.LittleEndian.AppendUint32(make([]byte, 16), uint32(len(bindings)))
		hash = md5.Sum(append(data, bindings...))
	}
	sum = append(sum, hash[:]...)
	return binary.LittleEndian.AppendUint32(sum, gssMutual|gssReplay|gssSequence|gssConf|gssInteg)
}

// channelBindings are those of type tls-server-end-point (RFC 5929 4.1).
func channelBindings(server *x509.Certificate) []byte {
	hash := crypto.SHA256 // in place of MD5 and SHA-1, too
	switch server.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		hash = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write(server.Raw)
	return h.Sum([]byte("tls-server-end-point:"))
}

// accept checks the server's answer: only who has the service's key can have
// read our authenticator.
func (g *initiator) accept(token []byte) error {
	body, err := apRep(token)
	if err != nil {
		return err
	}
	if e := parseKRBError(body, time.Now()); e != nil {
		return e
	}
	var rep messages.APRep
	if err := rep.Unmarshal(body); err != nil {
		return err
	}
	plain, err := decrypt(rep.EncPart, g.ticket.key, usageAPRep)
	if err != nil {
		return err
	}
	defer clear(plain)
	var part messages.EncAPRepPart
	if err := part.Unmarshal(plain); err != nil {
		return err
	}
	if !part.CTime.Equal(g.sent.CTime) || part.Cusec != g.sent.Cusec {
		return errors.New("the server's proof is of another logon")
	}
	g.wrap = &wrapper{key: g.ticket.key, send: uint64(g.sent.SeqNumber), receive: uint64(part.SequenceNumber)}
	if len(part.Subkey.KeyValue) > 0 {
		g.wrap.key, g.wrap.flags = part.Subkey, flagAcceptorSubkey
	}
	return nil
}

// apRep takes the frame off the server's token (RFC 2743 3.1).
func apRep(token []byte) ([]byte, error) {
	var frame asn1.RawValue
	if rest, err := asn1.Unmarshal(token, &frame); err != nil || len(rest) > 0 ||
		frame.Class != asn1.ClassApplication || frame.Tag != 0 {
		return nil, errors.New("the server's answer is not a GSSAPI token")
	}
	body, ok := bytes.CutPrefix(frame.Bytes, krb5OID)
	if !ok || len(body) < len(tokenAPRep) {
		return nil, errors.New("the server's answer is not a Kerberos token")
	}
	return body[len(tokenAPRep):], nil
}

// Security layers of RFC 4752 3.3.
const (
	layerNone = 1
	layerConf = 4
)

// NegotiateSaslAuth answers the server's offer of security layers.
func (g *initiator) NegotiateSaslAuth(token []byte, authzid string) ([]byte, error) {
	if g.wrap == nil {
		return nil, errNoContext
	}
	offer, err := g.wrap.unwrap(token)
	if err != nil {
		return nil, err
	}
	if len(offer) != 4 {
		return nil, fmt.Errorf("an offer of security layers of %d bytes", len(offer))
	}
	choice := []byte{layerNone, 0, 0, 0}
	if g.seal != nil {
		choice = []byte{layerConf, byte(maxSealed >> 16), byte(maxSealed >> 8 & 0xff), byte(maxSealed & 0xff)}
	}
	if offer[0]&choice[0] == 0 {
		return nil, fmt.Errorf("the server offers security layers %#x without %#x", offer[0], choice[0])
	}
	out, err := g.wrap.sign(append(choice, authzid...))
	if err == nil && g.seal != nil {
		g.seal.arm(g.wrap)
	}
	return out, err
}

// Flags of a wrap token, RFC 4121 4.2.2.
const (
	flagFromAcceptor   = 1
	flagSealed         = 2
	flagAcceptorSubkey = 4
)

// Key usages of RFC 4121 2.
const (
	usageAcceptorSeal  = 22
	usageInitiatorSeal = 24
)

const wrapHeader = 16

// wrapper makes the initiator's wrap tokens and opens the acceptor's (RFC 4121 4.2.6.2).
type wrapper struct {
	key           types.EncryptionKey
	flags         byte
	send, receive uint64 // next sequence numbers
}

func (w *wrapper) header(flags byte) []byte {
	h := []byte{5, 4, flags, 0xff, 0, 0, 0, 0}
	h = binary.BigEndian.AppendUint64(h, w.send)
	w.send++
	return h
}

// sign makes a token whose payload is readable and protected by a checksum.
func (w *wrapper) sign(payload []byte) ([]byte, error) {
	et, err := kcrypto.GetEtype(w.key.KeyType)
	if err != nil {
		return nil, err
	}
	h := w.header(w.flags)
	sum, err := et.GetChecksumHash(w.key.KeyValue, append(bytes.Clone(payload), h...), usageInitiatorSeal)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(h[4:], uint16(len(sum))) // after the checksum, which is made with 0
	return append(append(h, payload...), sum...), nil
}

// encrypt makes a token whose payload is encrypted.
func (w *wrapper) encrypt(payload []byte) ([]byte, error) {
	et, err := kcrypto.GetEtype(w.key.KeyType)
	if err != nil {
		return nil, err
	}
	h := w.header(w.flags | flagSealed)
	_, sealed, err := et.EncryptMessage(w.key.KeyValue, append(bytes.Clone(payload), h...), usageInitiatorSeal)
	return append(h, sealed...), err
}

// unwrap opens the acceptor's next token.
func (w *wrapper) unwrap(token []byte) ([]byte, error) {
	if len(token) <= wrapHeader || token[0] != 5 || token[1] != 4 || token[3] != 0xff {
		return nil, errors.New("not a wrap token")
	}
	if got, want := token[2]&^flagSealed, flagFromAcceptor|w.flags; got != want {
		return nil, fmt.Errorf("a wrap token with flags %#x in place of %#x", got, want)
	}
	if seq := binary.BigEndian.Uint64(token[8:]); seq != w.receive {
		return nil, fmt.Errorf("wrap token %d in place of %d", seq, w.receive)
	}
	et, err := kcrypto.GetEtype(w.key.KeyType)
	if err != nil {
		return nil, err
	}
	extra, rotated := int(binary.BigEndian.Uint16(token[4:])), int(binary.BigEndian.Uint16(token[6:]))
	body := token[wrapHeader:]
	rotated %= len(body)
	body = append(bytes.Clone(body[rotated:]), body[:rotated]...)
	header := bytes.Clone(token[:wrapHeader])
	clear(header[6:8]) // both the checksum and the encrypted copy are made without the rotation

	if token[2]&flagSealed == 0 {
		clear(header[4:6])
		if len(body) < extra {
			return nil, errors.New("a wrap token is cut short")
		}
		payload, sum := body[:len(body)-extra], body[len(body)-extra:]
		if !et.VerifyChecksum(w.key.KeyValue, append(bytes.Clone(payload), header...), sum, usageAcceptorSeal) {
			return nil, errors.New("a wrap token's checksum is wrong")
		}
		w.receive++
		return payload, nil
	}
	plain, err := decrypt(types.EncryptedData{EType: w.key.KeyType, Cipher: body}, w.key, usageAcceptorSeal)
	if err != nil {
		return nil, err
	}
	if len(plain) < wrapHeader+extra {
		return nil, errors.New("a wrap token is cut short")
	}
	// The count of extra bytes is not compared: acceptors disagree on what
	// their encrypted copy has there. Whoever changes it cuts the payload short.
	inner := plain[len(plain)-wrapHeader:]
	if !bytes.Equal(inner[:4], header[:4]) || !bytes.Equal(inner[8:], header[8:]) {
		return nil, errors.New("a wrap token's header was changed")
	}
	w.receive++
	return plain[:len(plain)-wrapHeader-extra], nil
}
