package directory

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

const fakePassword = "the right password"

// fakeKDC is a KDC of CONTOSO.COM that misbehaves as a test wants it. Without
// changes it gives a ticket to whoever knows fakePassword.
type fakeKDC struct {
	info  []types.ETypeInfo2Entry // of KDC_ERR_PREAUTH_REQUIRED
	etype int32                   // of the reply
	part  func(*messages.EncKDCRepPart)
	reply func(*messages.ASRep)
	raw   func(conn net.Conn) // answers in place of all of that
}

// start returns a client and a controller that lead to the KDC.
func (k *fakeKDC) start(t *testing.T) (*Client, *Controller) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			k.serve(t, conn)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close() // ends Accept
		<-done
	})
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	c, err := New(Config{Controllers: []string{"dc1.contoso.com=" + addr.Addr().String()}}, "contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	_, c.ports.kerberos, _ = net.SplitHostPort(addr.String())
	return c, &Controller{Host: "dc1.contoso.com", Addr: addr.Addr()}
}

func (k *fakeKDC) serve(t *testing.T, conn net.Conn) {
	defer conn.Close() //nolint:errcheck // a test's connection
	if k.raw != nil {
		k.raw(conn)
		return
	}
	reply, err := k.answer(conn)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		return
	}
	_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))), reply...)) // the client may be gone
}

func (k *fakeKDC) answer(conn net.Conn) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(conn, n[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, err
	}
	var req messages.ASReq
	if err := req.Unmarshal(b); err != nil {
		return nil, err
	}
	if len(req.PAData) == 0 {
		return k.preauthRequired(req.ReqBody)
	}
	return k.asRep(req.ReqBody)
}

func (k *fakeKDC) preauthRequired(body messages.KDCReqBody) ([]byte, error) {
	info := k.info
	if info == nil {
		info = []types.ETypeInfo2Entry{{EType: 18, Salt: "salty"}}
	}
	value, err := asn1.Marshal(info)
	if err != nil {
		return nil, err
	}
	data, err := asn1.Marshal([]types.PAData{{PADataType: 19, PADataValue: value}})
	if err != nil {
		return nil, err
	}
	e := messages.NewKRBError(body.SName, body.Realm, errPreauthRequired, "")
	e.EData = data
	return e.Marshal()
}

func (k *fakeKDC) asRep(body messages.KDCReqBody) ([]byte, error) {
	now := time.Now().UTC().Truncate(time.Second)
	part := messages.EncKDCRepPart{
		Key: types.EncryptionKey{KeyType: 18, KeyValue: make([]byte, 32)}, LastReqs: []messages.LastReq{},
		Nonce: body.Nonce, Flags: types.NewKrbFlags(), AuthTime: now, StartTime: now, EndTime: now.Add(time.Hour),
		SRealm: body.Realm, SName: body.SName,
	}
	types.SetFlag(&part.Flags, flags.Initial)
	if k.part != nil {
		k.part(&part)
	}
	plain, err := part.Marshal()
	if err != nil {
		return nil, err
	}
	etype := k.etype
	if etype == 0 {
		etype = 18
	}
	key, err := stringToKey(18, []byte(fakePassword), "salty", defaultIterations)
	if err != nil {
		return nil, err
	}
	sealed, err := crypto.GetEncryptedData(plain, key, usageASRep, 1)
	if err != nil {
		return nil, err
	}
	sealed.EType = etype
	rep := messages.ASRep{KDCRepFields: messages.KDCRepFields{
		PVNO: 5, MsgType: 11, CRealm: body.Realm, CName: body.CName, EncPart: sealed,
		Ticket: messages.Ticket{TktVNO: 5, Realm: body.Realm, SName: body.SName, EncPart: types.EncryptedData{EType: 18, Cipher: []byte("opaque")}},
	}}
	if k.reply != nil {
		k.reply(&rep)
	}
	return rep.Marshal()
}

// loopback is where nothing of the lab listens.
var loopback = netip.MustParseAddr("127.0.0.1")
