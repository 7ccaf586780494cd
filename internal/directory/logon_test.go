package directory

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

func kindOf(t *testing.T, err error) Kind {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("not an *Error: %v", err)
	}
	return e.Kind
}

func TestLogonTakesTheKDCsSalt(t *testing.T) {
	c, dc := (&fakeKDC{}).start(t)
	id, err := c.Authenticate(t.Context(), dc, "alice", []byte(fakePassword))
	if err != nil {
		t.Fatal(err)
	}
	if id.Principal != "alice@CONTOSO.COM" || !id.Expires.After(time.Now()) {
		t.Errorf("%+v", id)
	}
	if _, err := c.Authenticate(t.Context(), dc, "alice", []byte("another")); kindOf(t, err) != WrongPassword {
		t.Errorf("another password: %v", err)
	}
}

func TestLogonDoesNotBelieveAMisbehavingKDC(t *testing.T) {
	send := func(b ...byte) *fakeKDC {
		return &fakeKDC{raw: func(conn net.Conn) { answerWith(conn, b) }}
	}
	for name, tt := range map[string]struct {
		kdc  *fakeKDC
		kind Kind
		says string
	}{
		"reply to another request":   {&fakeKDC{part: func(p *messages.EncKDCRepPart) { p.Nonce++ }}, Malformed, "another request"},
		"ticket of another realm":    {&fakeKDC{part: func(p *messages.EncKDCRepPart) { p.SRealm = "FABRIKAM.COM" }}, Malformed, "FABRIKAM.COM"},
		"ticket of another user":     {&fakeKDC{reply: func(r *messages.ASRep) { r.CName.NameString = []string{"mallory"} }}, Malformed, "mallory"},
		"ticket of no user":          {&fakeKDC{reply: func(r *messages.ASRep) { r.CName.NameString = nil }}, Malformed, "ticket of"},
		"ticket that ends before":    {&fakeKDC{part: func(p *messages.EncKDCRepPart) { p.EndTime = p.AuthTime.Add(-time.Second) }}, Malformed, "ends before"},
		"ciphertext cut short":       {&fakeKDC{reply: func(r *messages.ASRep) { r.EncPart.Cipher = r.EncPart.Cipher[:20] }}, WrongPassword, "cut short"},
		"ciphertext changed":         {&fakeKDC{reply: func(r *messages.ASRep) { r.EncPart.Cipher[3] ^= 1 }}, WrongPassword, "integrity"},
		"reply encrypted with RC4":   {&fakeKDC{etype: 23}, NoAESKey, "type 23"},
		"RC4 keys only":              {&fakeKDC{info: []types.ETypeInfo2Entry{{EType: 23}}}, NoAESKey, "offers none"},
		"too few iterations":         {&fakeKDC{info: []types.ETypeInfo2Entry{{EType: 18, Salt: "salty", S2KParams: []byte{0, 0, 0, 1}}}}, Malformed, "1 iterations"},
		"too many iterations":        {&fakeKDC{info: []types.ETypeInfo2Entry{{EType: 18, Salt: "salty", S2KParams: []byte{255, 0, 0, 0}}}}, Malformed, "iterations"},
		"reply too large":            {send(0xff, 0, 0, 0), Unreachable, "bytes"},
		"empty reply":                {send(0, 0, 0, 0), Unreachable, "0 bytes"},
		"reply cut short":            {send(0, 0, 0, 9, 1), Unreachable, "EOF"},
		"no reply":                   {send(), Unreachable, ""},
		"reply that is no ASN.1":     {send(0, 0, 0, 3, 1, 2, 3), Malformed, ""},
		"empty application element":  {send(0, 0, 0, 2, 0x6b, 0), Malformed, ""},
		"error without a known code": {&fakeKDC{raw: sendKRBError(60, nil)}, Refused, "(60)"},
	} {
		t.Run(name, func(t *testing.T) {
			c, dc := tt.kdc.start(t)
			_, err := c.Authenticate(t.Context(), dc, "alice", []byte(fakePassword))
			if kindOf(t, err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("kind %v: %v", kindOf(t, err), err)
			}
			if strings.Contains(err.Error(), fakePassword) {
				t.Error("the error has the password in it")
			}
		})
	}
}

// answerWith sends b after a request was read; closing a connection with unread
// bytes would reset it.
func answerWith(conn net.Conn, b []byte) {
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(length[:]))); err != nil {
		return
	}
	_, _ = conn.Write(b) // the client may be gone
}

func sendKRBError(code int32, data []byte) func(net.Conn) {
	return func(conn net.Conn) {
		e := messages.NewKRBError(types.PrincipalName{NameType: 2, NameString: []string{"krbtgt", "CONTOSO.COM"}}, "CONTOSO.COM", code, "")
		e.EData = data
		b, err := e.Marshal()
		if err != nil {
			return
		}
		answerWith(conn, append([]byte{0, 0, byte(len(b) >> 8), byte(len(b))}, b...))
	}
}

// hang never answers; its connections end when the client closes them.
func hang(connected chan<- struct{}) *fakeKDC {
	return &fakeKDC{raw: func(conn net.Conn) {
		connected <- struct{}{}
		buf := make([]byte, 4096)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}}
}

func TestACancelledContextEndsALogonAtASilentKDC(t *testing.T) {
	connected := make(chan struct{}, 1)
	c, dc := hang(connected).start(t)
	c.cfg.Timeout = time.Hour
	why := errors.New("the container is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-connected
		cancel(why)
	}()
	_, err := c.Authenticate(ctx, dc, "alice", []byte(fakePassword))
	if kindOf(t, err) != Unreachable || !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

func TestTheTimeoutEndsALogonAtASilentKDC(t *testing.T) {
	c, dc := hang(make(chan struct{}, 1)).start(t)
	c.cfg.Timeout = time.Millisecond
	_, err := c.Authenticate(t.Context(), dc, "alice", []byte(fakePassword))
	var timeout net.Error
	if kindOf(t, err) != Unreachable || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%v", err)
	}
}

func TestMalformedUserNamesAreRefusedBeforeAnyoneIsAsked(t *testing.T) {
	c, err := New(Config{}, "contoso.com")
	if err != nil {
		t.Fatal(err)
	}
	dc := &Controller{Host: "dc1.contoso.com", Addr: loopback}
	for _, user := range []string{"", "a\x00b", `CONTOSO\alice`, "a/b", strings.Repeat("a", maxName+1)} {
		if _, err := c.Authenticate(t.Context(), dc, user, []byte("x")); kindOf(t, err) != Malformed {
			t.Errorf("%.20q: %v", user, err)
		}
	}
}

func FuzzASReply(f *testing.F) {
	body, err := logonRequest("CONTOSO.COM", "alice")
	if err != nil {
		f.Fatal(err)
	}
	body.Nonce = 1
	good, err := (&fakeKDC{}).asRep(body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	refused, err := (&fakeKDC{}).preauthRequired(body)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(refused)
	f.Fuzz(func(t *testing.T, reply []byte) {
		if e := parseKRBError(reply, time.Now()); e != nil {
			_ = e.failure().Error()
			_, _ = keyParamsOf(e.data, keyParams{})
			return
		}
		if tkt, err := openASRep(reply, body, keyParams{18, "salty", defaultIterations}, []byte(fakePassword)); err == nil {
			if tkt.realm != "CONTOSO.COM" {
				t.Errorf("a ticket of %s", tkt.realm)
			}
		}
	})
}
