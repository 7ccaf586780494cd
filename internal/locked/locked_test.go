package locked

import (
	"bytes"
	"runtime"
	"sync"
	"testing"
	"unsafe"
)

func TestABufferHasItsOwnWholePages(t *testing.T) {
	seen := map[uintptr]bool{}
	for _, n := range []int{1, 255, pageSize, pageSize + 1, 3 * pageSize} {
		b := New(n)
		defer b.Release()
		if len(b.Bytes()) != n || cap(b.Bytes()) != n {
			t.Errorf("%d bytes asked for: length %d, capacity %d", n, len(b.Bytes()), cap(b.Bytes()))
		}
		if !bytes.Equal(b.Bytes(), make([]byte, n)) {
			t.Errorf("%d bytes: not zero", n)
		}
		first := uintptr(unsafe.Pointer(unsafe.SliceData(b.pages)))
		if first%uintptr(pageSize) != 0 || len(b.pages)%pageSize != 0 {
			t.Errorf("%d bytes: %d bytes at %#x are not whole pages", n, len(b.pages), first)
		}
		for page := first; page < first+uintptr(len(b.pages)); page += uintptr(pageSize) {
			if seen[page] {
				t.Errorf("%d bytes: a page is another buffer's", n)
			}
			seen[page] = true
		}
	}
}

func TestReleaseOverwritesWhatOthersStillHold(t *testing.T) {
	b := New(32)
	kept := b.Bytes()
	copy(kept, "not to be seen")
	b.Release()
	b.Release()
	if !bytes.Equal(kept, make([]byte, 32)) {
		t.Errorf("after Release: %q", kept)
	}
	if b.Bytes() != nil {
		t.Error("a released buffer has bytes")
	}
}

func TestASliceOutlivesItsBuffer(t *testing.T) {
	kept := func() []byte {
		b := New(16)
		copy(b.Bytes(), "still in use")
		return b.Bytes()
	}()
	for range 3 {
		runtime.GC()
	}
	if string(kept[:12]) != "still in use" {
		t.Errorf("a slice that is held shows %q", kept)
	}
	runtime.KeepAlive(kept)
}

func TestNoBytesAreNoBuffer(t *testing.T) {
	for _, n := range []int{0, -1} {
		b := New(n)
		if b != nil || b.Bytes() != nil {
			t.Errorf("%d: %v", n, b)
		}
		b.Release()
	}
}

func TestManyBuffersAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				b := New(64)
				for k := range b.Bytes() {
					b.Bytes()[k] = byte(i)
				}
				runtime.Gosched()
				if !bytes.Equal(b.Bytes(), bytes.Repeat([]byte{byte(i)}, 64)) {
					t.Error("another buffer's bytes")
				}
				b.Release()
			}
		})
	}
	wg.Wait()
}

func BenchmarkNewAndRelease(b *testing.B) {
	for b.Loop() {
		New(32).Release()
	}
}
