package directory

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sampleBlob is what a domain controller answered for the gMSA webapp01 of a
// throw-away domain CONTOSO.COM; the keys of key_test.go go with it.
func sampleBlob(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/managedpassword.hex")
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// makeBlob is a blob with the given passwords, each with its terminator.
func makeBlob(current, previous []byte, pad int, query, unchanged uint64) []byte {
	le := binary.LittleEndian
	b := make([]byte, blobHeader)
	b[0] = blobVersion
	le.PutUint16(b[8:], uint16(len(b)))
	b = append(b, current...)
	if previous != nil {
		le.PutUint16(b[10:], uint16(len(b)))
		b = append(b, previous...)
	}
	b = append(b, make([]byte, pad)...)
	le.PutUint16(b[12:], uint16(len(b)))
	b = le.AppendUint64(b, query)
	le.PutUint16(b[14:], uint16(len(b)))
	b = le.AppendUint64(b, unchanged)
	le.PutUint32(b[4:], uint32(len(b)))
	return b
}

func TestManagedPasswordOfARealDomainController(t *testing.T) {
	p, err := parseManagedPassword(sampleBlob(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Current) != 256 || p.Previous != nil {
		t.Errorf("%d bytes, %d before", len(p.Current), len(p.Previous))
	}
	if p.QueryIn-p.UnchangedFor != 5*time.Minute || p.QueryIn > 30*24*time.Hour || p.QueryIn <= 0 {
		t.Errorf("query in %v, unchanged for %v", p.QueryIn, p.UnchangedFor)
	}
}

func TestManagedPasswordHasBothPasswords(t *testing.T) {
	got, err := parseManagedPassword(makeBlob([]byte("a\x00b\x00\x00\x00"), []byte("\x00\xd8\x00\x00"), 4, 600_000_000, math.MaxUint64))
	want := &ManagedPassword{
		Current: []byte("a\x00b\x00"), Previous: []byte("\x00\xd8"),
		QueryIn: time.Minute, UnchangedFor: math.MaxInt64,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestManagedPasswordDoesNotShareMemoryWithTheBlob(t *testing.T) {
	b := makeBlob([]byte("a\x00\x00\x00"), nil, 0, 0, 0)
	p, err := parseManagedPassword(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if string(p.Current) != "a\x00" {
		t.Errorf("current is %q", p.Current)
	}
}

func TestMalformedManagedPasswordIsRefused(t *testing.T) {
	good := makeBlob([]byte("a\x00b\x00\x00\x00"), []byte("c\x00\x00\x00"), 0, 0, 0)
	edit := func(offset int, b ...byte) []byte {
		out := bytes.Clone(good)
		copy(out[offset:], b)
		return out
	}
	for name, b := range map[string][]byte{
		"empty":                        nil,
		"header only":                  good[:blobHeader],
		"cut short":                    good[:len(good)-1],
		"longer than it says":          append(bytes.Clone(good), 0),
		"too long":                     make([]byte, maxBlob+1),
		"version 2":                    edit(0, 2),
		"password inside the header":   edit(8, 2),
		"password after its end":       edit(8, 30),
		"previous before current":      edit(10, 10),
		"previous after the intervals": edit(10, 40),
		"interval beyond the end":      edit(14, 0xff, 0xff),
		"intervals overlap":            edit(14, good[12]+4),
		"empty password":               makeBlob([]byte("\x00\x00"), nil, 0, 0, 0),
		"no terminator":                makeBlob([]byte("a\x00b\x00"), nil, 0, 0, 0),
		"null character inside":        makeBlob([]byte("a\x00\x00\x00b\x00\x00\x00"), nil, 0, 0, 0),
		"odd length":                   makeBlob([]byte("a\x00b"), nil, 0, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := parseManagedPassword(b); err == nil {
				t.Errorf("taken: %d bytes", len(p.Current))
			}
		})
	}
}

func TestManagedPasswordIsNotPrinted(t *testing.T) {
	p := &ManagedPassword{Account: "webapp01", Current: []byte("s\x00e\x00c\x00")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, p); got != "managed password of webapp01" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

func TestPasswordBecomesUTF8WithReplacementCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"a\x00\xe9\x00":            "aé",
		"\x3d\xd8\x00\xde":         "😀",
		"\x3d\xd8a\x00":            "\ufffda",            // high surrogate alone
		"\x00\xde\x3d\xd8":         "\ufffd\ufffd",       // in the wrong order
		"\x3d\xd8\x3d\xd8\x00\xde": "\ufffd😀",            // one too many
		"\xff\xff\xfd\xff\x01\x00": "\uffff\ufffd\u0001", // U+FFFD itself, and noncharacters
	} {
		if got := kerberosPassword([]byte(in)); string(got) != want {
			t.Errorf("%x becomes %q, want %q", in, got, want)
		}
	}
}

func FuzzManagedPassword(f *testing.F) {
	f.Add(sampleBlob(f))
	f.Add(makeBlob([]byte("a\x00b\x00\x00\x00"), []byte("c\x00\x00\x00"), 2, 1, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseManagedPassword(b)
		if err != nil {
			return
		}
		for _, password := range [][]byte{p.Current, p.Previous} {
			if len(password)%2 != 0 || len(password) > len(b) {
				t.Errorf("a password of %d bytes from %d", len(password), len(b))
			}
			if out := kerberosPassword(password); cap(out) > 0 && len(out) > cap(out) {
				t.Error("grew")
			}
		}
		if len(p.Current) == 0 || p.QueryIn < 0 || p.UnchangedFor < 0 {
			t.Errorf("taken: %+v", p.QueryIn)
		}
	})
}
