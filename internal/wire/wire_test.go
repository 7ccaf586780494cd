package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func token(t testing.TB) string {
	t.Helper()
	tok, err := NewToken()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// frame builds a frame by hand, as the layout in the package doc has it.
func frame(version, kind byte, size uint32, payload string) []byte {
	b := []byte{'G', 'M', 'S', version, kind, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}
	return append(b, payload...)
}

func field(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

func TestTokensAreValidAndDiffer(t *testing.T) {
	a, b := token(t), token(t)
	if !ValidToken(a) || len(a) != 49 {
		t.Errorf("%q is not a token of 49 characters", a)
	}
	if a == b {
		t.Error("two tokens are equal")
	}
}

func TestWhatIsNotATokenIsToldApart(t *testing.T) {
	good := TokenPrefix + strings.Repeat("A", 43)
	if !ValidToken(good) {
		t.Fatalf("%q is refused", good)
	}
	for name, s := range map[string]string{
		"empty":              "",
		"no prefix":          strings.Repeat("A", 49),
		"prefix only":        TokenPrefix,
		"prefix in capitals": "GMSA1." + good[6:],
		"too short":          good[:48],
		"too long":           good + "A",
		"padded":             good + "=",
		"standard base64":    good[:48] + "+",
		"spare bits set":     good[:48] + "B",
		"line break":         good[:48] + "\n",
		"another dialect":    "ObjectId=1;SecretUri=https://kv.vault.azure.net/x",
	} {
		if ValidToken(s) {
			t.Errorf("%s: %q is accepted", name, s)
		}
	}
}

func TestRedeemSurvivesTheWay(t *testing.T) {
	want := token(t)
	var b bytes.Buffer
	if err := WriteRedeem(&b, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRedeem(iotest.OneByteReader(&b))
	if err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestRedeemOfSomethingElseIsSentAndRefusedWithoutRepeatingIt(t *testing.T) {
	var b bytes.Buffer
	if err := WriteRedeem(&b, "cattle-system:contoso"); err != nil {
		t.Fatal(err)
	}
	_, err := ReadRedeem(&b)
	if !errors.Is(err, fault.ErrMalformed) || strings.Contains(err.Error(), "cattle") {
		t.Errorf("got %v", err)
	}
}

func TestRedeemIsBoundedWhereItIsWritten(t *testing.T) {
	for name, s := range map[string]string{
		"empty": "", "too long": strings.Repeat("a", MaxToken+1), "not UTF-8": "\xff", "NUL": "a\x00b",
	} {
		var b bytes.Buffer
		if err := WriteRedeem(&b, s); !errors.Is(err, fault.ErrMalformed) || b.Len() != 0 {
			t.Errorf("%s: got %v and %d bytes written", name, err, b.Len())
		}
	}
}

func TestReleaseSurvivesTheWay(t *testing.T) {
	want := Release{Domain: "contoso.com", User: "gmsa-reader", Password: []byte("pä$$wörd 😀 \"\\:")}
	var b bytes.Buffer
	if err := WriteRelease(&b, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadAnswer(iotest.HalfReader(&b))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got.Wipe()
	if got.Password != nil {
		t.Error("the password is there after Wipe")
	}
}

func TestTheLargestReleaseFitsTheFrame(t *testing.T) {
	r := Release{strings.Repeat("d", MaxDomain), strings.Repeat("u", MaxUser), bytes.Repeat([]byte("p"), MaxPassword)}
	var b bytes.Buffer
	if err := WriteRelease(&b, r); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAnswer(&b); err != nil {
		t.Error(err)
	}
}

func TestAReleaseThatCCGCouldNotTakeIsNeitherWrittenNorRead(t *testing.T) {
	for name, r := range map[string]Release{
		"no domain":         {"", "u", []byte("p")},
		"no user":           {"d", "", []byte("p")},
		"no password":       {"d", "u", nil},
		"NUL in password":   {"d", "u", []byte("p\x00q")},
		"NUL in user":       {"d", "u\x00", []byte("p")},
		"domain not UTF-8":  {"\xff", "u", []byte("p")},
		"password too long": {"d", "u", bytes.Repeat([]byte("p"), MaxPassword+1)},
	} {
		var b bytes.Buffer
		if err := WriteRelease(&b, r); !errors.Is(err, fault.ErrMalformed) || b.Len() != 0 {
			t.Errorf("%s: write: got %v and %d bytes", name, err, b.Len())
		}
		payload := field(r.Domain) + field(r.User) + field(string(r.Password))
		got, err := ReadAnswer(bytes.NewReader(frame(1, 2, uint32(len(payload)), payload)))
		if !errors.Is(err, fault.ErrMalformed) || got.Password != nil {
			t.Errorf("%s: read: got %v, %v", name, got, err)
		}
	}
}

func TestAReleaseNeverPrintsItsPassword(t *testing.T) {
	r := Release{"contoso.com", "reader", []byte("canary")}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%t"} {
		fmt.Fprintf(&out, verb+verb, r, &r)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "r", r)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "r", r, "p", &r)
	if err := json.NewEncoder(&out).Encode(r); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"canary", fmt.Sprintf("%x", "canary"), fmt.Sprint([]byte("canary")), "Y2FuYXJ5"} {
		if strings.Contains(out.String(), s) {
			t.Errorf("%q stands in %s", s, &out)
		}
	}
}

func TestRefusalSurvivesTheWayAndIsOfItsKind(t *testing.T) {
	for code, kind := range map[Code]error{
		CodeMalformed: fault.ErrMalformed, CodeUnknownGrant: fault.ErrNotFound, CodeDenied: fault.ErrDenied,
		CodeUnavailable: fault.ErrUnavailable, CodeUnsupported: errors.ErrUnsupported, CodeNotFound: fault.ErrNotFound,
	} {
		var b bytes.Buffer
		if err := WriteRefusal(&b, code, "because"); err != nil {
			t.Fatal(err)
		}
		_, err := ReadAnswer(&b)
		r, ok := errors.AsType[*Refusal](err)
		if !ok || r.Code != code || r.Message != "because" || !errors.Is(err, kind) {
			t.Errorf("%s: got %v", code, err)
		}
		if got := CodeOf(fmt.Errorf("x: %w", err)); got != code {
			t.Errorf("CodeOf a refusal with %s is %s", code, got)
		}
	}
}

func TestARefusalOfALaterReleaseIsPassedOn(t *testing.T) {
	var b bytes.Buffer
	if err := WriteRefusal(&b, 999, "new"); err != nil {
		t.Fatal(err)
	}
	_, err := ReadAnswer(&b)
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Code != 999 || r.Code.String() != "code 999" {
		t.Errorf("got %v", err)
	}
}

func TestARefusalsWordsAreCutAtARune(t *testing.T) {
	var b bytes.Buffer
	if err := WriteRefusal(&b, CodeInternal, "x"+strings.Repeat("ä", MaxMessage)+"\xff"); err != nil {
		t.Fatal(err)
	}
	_, err := ReadAnswer(&b)
	r, ok := errors.AsType[*Refusal](err)
	if !ok || r.Message != "x"+strings.Repeat("ä", (MaxMessage-1)/2) {
		t.Errorf("got %v", err)
	}
}

func TestCodeOfChoosesByTheKind(t *testing.T) {
	for want, err := range map[Code]error{
		CodeMalformed:   &Error{"x", "y"},
		CodeNotFound:    fmt.Errorf("x: %w", fault.ErrNotFound),
		CodeDenied:      fault.ErrDenied,
		CodeUnavailable: fault.ErrUnavailable,
		CodeUnsupported: &VersionError{2},
		CodeInternal:    io.ErrNoProgress,
	} {
		if got := CodeOf(err); got != want {
			t.Errorf("%v: got %s, want %s", err, got, want)
		}
	}
}

func TestCodesSurviveText(t *testing.T) {
	for code := range codes {
		text, err := code.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got Code
		if err := got.UnmarshalText(text); err != nil || got != code {
			t.Errorf("%s: got %v, %v", code, got, err)
		}
	}
	var c Code
	if err := c.UnmarshalText([]byte("nonsense")); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func TestReadersRefuseWhatIsNotTheExpectedFrame(t *testing.T) {
	tok := token(t)
	ok := field(tok)
	for name, tc := range map[string]struct {
		bytes []byte
		says  string
	}{
		"foreign magic":          {[]byte("GET / HTTP/1.1\r\n\r\n"), "begin with GMS"},
		"wrong kind":             {frame(1, 2, uint32(len(ok)), ok), "kind 2"},
		"kind zero":              {frame(1, 0, uint32(len(ok)), ok), "kind 0"},
		"length over the limit":  {frame(1, 1, 1<<31, ok), "more than"},
		"length of all ones":     {frame(1, 1, 1<<32-1, ok), "more than"},
		"no field":               {frame(1, 1, 0, ""), "missing"},
		"half a field length":    {frame(1, 1, 1, "\x00"), "missing"},
		"field beyond the frame": {frame(1, 1, 2, "\x00\x31"), "announces 49 bytes"},
		"bytes after the field":  {frame(1, 1, uint32(len(ok))+1, ok+"x"), "1 bytes after"},
		"empty token":            {frame(1, 1, 2, field("")), "not a grant token"},
	} {
		_, err := ReadRedeem(bytes.NewReader(tc.bytes))
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want it to say %q", name, err, tc.says)
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Errorf("%s: got a %T", name, err)
		}
	}
}

func TestAnotherVersionIsToldInWords(t *testing.T) {
	_, err := ReadAnswer(bytes.NewReader(frame(2, 2, 0, "")))
	v, ok := errors.AsType[*VersionError](err)
	if !ok || v.Got != 2 || !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), "different releases") {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerOfTheWrongShapeIsMalformed(t *testing.T) {
	for name, payload := range map[string]struct {
		kind byte
		text string
	}{
		"release of two fields":     {2, field("d") + field("u")},
		"release of four fields":    {2, field("d") + field("u") + field("p") + field("x")},
		"refusal without words":     {3, field("\x00\x01")},
		"refusal with a short code": {3, field("\x01") + field("x")},
		"refusal with code zero":    {3, field("\x00\x00") + field("x")},
		"refusal not UTF-8":         {3, field("\x00\x01") + field("\xff")},
		"refusal of a novel":        {3, field("\x00\x01") + field(strings.Repeat("x", MaxMessage+1))},
		"redeem as an answer":       {1, field(token(t))},
	} {
		_, err := ReadAnswer(bytes.NewReader(frame(1, payload.kind, uint32(len(payload.text)), payload.text)))
		if !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWhatTheStreamReportsIsNotMalformed(t *testing.T) {
	whole := frame(1, 1, 51, field(token(t)))
	for n := range whole {
		_, err := ReadRedeem(bytes.NewReader(whole[:n]))
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if !errors.Is(err, fault.ErrUnavailable) || !errors.Is(err, want) || errors.Is(err, fault.ErrMalformed) {
			t.Fatalf("cut after %d bytes: got %v", n, err)
		}
	}
	_, err := ReadRedeem(iotest.ErrReader(os.ErrDeadlineExceeded))
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if err := WriteRedeem(brokenPipe{}, token(t)); !errors.Is(err, fault.ErrUnavailable) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestALargePayloadIsNotAllocatedOnTheHeadersWord(t *testing.T) {
	const limit = 4 << 20
	header := frame(1, byte(KindRequest), limit, "")
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := ReadFrame(bytes.NewReader(header), limit, KindRequest); err == nil {
				b.Fatal("read a payload that was never sent")
			}
		}
	}).AllocedBytesPerOp()
	if allocated > 4*eagerPayload {
		t.Errorf("%d bytes allocated for nine received", allocated)
	}
}

func TestALargePayloadArrivesWhole(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcde"), 20000)
	var b bytes.Buffer
	if err := WriteFrame(&b, KindRequest, want, len(want)); err != nil {
		t.Fatal(err)
	}
	_, got, err := ReadFrame(iotest.HalfReader(&b), len(want), KindRequest)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if err := WriteFrame(io.Discard, KindRequest, want, len(want)-1); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("over the limit: got %v", err)
	}
}

func FuzzReadRedeem(f *testing.F) {
	tok := token(f)
	f.Add(frame(1, 1, 51, field(tok)))
	f.Add(frame(2, 1, 51, field(tok)))
	f.Add(frame(1, 1, 1<<32-1, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := ReadRedeem(bytes.NewReader(b))
		if err != nil {
			if tok != "" || !errors.Is(err, fault.ErrMalformed) && !errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("got %q, %v", tok, err)
			}
			return
		}
		var again bytes.Buffer
		if err := WriteRedeem(&again, tok); err != nil || !bytes.HasPrefix(b, again.Bytes()) {
			t.Errorf("%x was read as what is written %x (%v)", b, again.Bytes(), err)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	release := field("contoso.com") + field("reader") + field("pass")
	refusal := field("\x00\x02") + field("no")
	f.Add(frame(1, 2, uint32(len(release)), release))
	f.Add(frame(1, 3, uint32(len(refusal)), refusal))
	f.Add(frame(1, 3, 0, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadAnswer(bytes.NewReader(b))
		var again bytes.Buffer
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			if err := WriteRefusal(&again, refusal.Code, refusal.Message); err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			if r.Password != nil || !errors.Is(err, fault.ErrMalformed) && !errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("got %v, %v", r, err)
			}
			return
		} else if err := WriteRelease(&again, r); err != nil {
			t.Fatalf("read what cannot be written: %v", err)
		}
		if !bytes.HasPrefix(b, again.Bytes()) {
			t.Errorf("%x was read as what is written %x", b, again.Bytes())
		}
	})
}
