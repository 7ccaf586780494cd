package ccgplugin

import (
	"strings"
	"testing"
	"unicode/utf16"
	"unsafe"

	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// heap is a Memory that counts, looks at what is given back, and fails when told.
type heap struct {
	t      *testing.T
	fail   int // the allocation that fails, from 1
	allocs int
	live   map[unsafe.Pointer][]uint16
}

func newHeap(t *testing.T, fail int) *heap {
	return &heap{t: t, fail: fail, live: map[unsafe.Pointer][]uint16{}}
}

func (h *heap) Alloc(size uintptr) unsafe.Pointer {
	if h.allocs++; h.allocs == h.fail {
		return nil
	}
	b := make([]uint16, size/2)
	for i := range b {
		b[i] = 0xDEAD // new memory is not zero
	}
	p := unsafe.Pointer(&b[0])
	h.live[p] = b
	return p
}

func (h *heap) Free(p unsafe.Pointer) {
	b, ok := h.live[p]
	if !ok {
		h.t.Error("freed what was not allocated")
	}
	for _, unit := range b {
		if unit != 0 {
			h.t.Error("freed without wiping")
			break
		}
	}
	delete(h.live, p)
}

func (h *heap) text(p *uint16) string {
	b := h.live[unsafe.Pointer(p)]
	if len(b) == 0 || b[len(b)-1] != 0 {
		h.t.Errorf("%v has no terminator", b)
		return ""
	}
	return string(utf16.Decode(b[:len(b)-1]))
}

func TestMarshalledStringsAreTheReleases(t *testing.T) {
	h := newHeap(t, 0)
	password := []byte("pä$$ €𝄞\U0010FFFF")
	want := string(password)
	r := wire.Release{Domain: "contoso.com", User: "jürgen", Password: password}
	s, err := Marshal(h, &r)
	if err != nil {
		t.Fatal(err)
	}
	if d, u, p := h.text(s.Domain), h.text(s.User), h.text(s.Password); d != "contoso.com" || u != "jürgen" || p != want {
		t.Errorf("got %q %q %q", d, u, p)
	}
	if string(password) != strings.Repeat("\x00", len(password)) || r.Password != nil {
		t.Error("the password was not wiped")
	}
	if len(h.live) != 3 {
		t.Errorf("%d strings are held", len(h.live))
	}
}

func TestAFailedAllocationLeavesNothing(t *testing.T) {
	for fail := 1; fail <= 3; fail++ {
		h := newHeap(t, fail)
		password := []byte("secret")
		s, err := Marshal(h, &wire.Release{Domain: "d", User: "u", Password: password})
		if Result(err) != EOutOfMemory || s != (Strings{}) || len(h.live) != 0 {
			t.Errorf("allocation %d: got %v, %v, %d strings held", fail, s, err, len(h.live))
		}
		if password[0] != 0 {
			t.Errorf("allocation %d: the password was not wiped", fail)
		}
	}
}

func TestWhatIsNotTextIsNotMarshalled(t *testing.T) {
	for name, r := range map[string]wire.Release{
		"an empty domain":      {Domain: "", User: "u", Password: []byte("p")},
		"an empty user":        {Domain: "d", User: "", Password: []byte("p")},
		"an empty password":    {Domain: "d", User: "u"},
		"a NUL":                {Domain: "d", User: "u", Password: []byte("p\x00p")},
		"no UTF-8":             {Domain: "d", User: "u", Password: []byte("p\xff")},
		"a surrogate in UTF-8": {Domain: "d", User: "u", Password: []byte("\xed\xa0\x80")},
	} {
		h := newHeap(t, 0)
		if s, err := Marshal(h, &r); Result(err) != EBadCredential || s != (Strings{}) || len(h.live) != 0 {
			t.Errorf("%s: got %v, %v, %d strings held", name, s, err, len(h.live))
		}
	}
}

func FuzzMarshal(f *testing.F) {
	f.Add("contoso.com", "reader", []byte("pä$$"))
	f.Fuzz(func(t *testing.T, domain, user string, password []byte) {
		h := newHeap(t, 0)
		want := string(password)
		s, err := Marshal(h, &wire.Release{Domain: domain, User: user, Password: password})
		if err != nil {
			if len(h.live) != 0 {
				t.Errorf("%d strings held", len(h.live))
			}
			return
		}
		if h.text(s.Domain) != domain || h.text(s.User) != user || h.text(s.Password) != want {
			t.Error("a string changed on its way")
		}
	})
}
