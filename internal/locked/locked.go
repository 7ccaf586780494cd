// Package locked has memory for secrets: kept out of swap and hibernation
// files and out of memory dumps, as far as the operating system goes along, and
// overwritten when it is given back or forgotten.
//
// The pages are of Go's own heap, so that a slice of them stays good for as long
// as somebody holds it: who keeps one for too long sees zeroes, and never another
// secret. Each buffer has pages of its own, because systems lock whole pages and
// do not count how often.
//
// The package refuses to know what is in a buffer, and it does not fail: memory
// that cannot be locked is memory all the same, and [Refused] says why.
package locked

import (
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Buffer is a piece of memory. A nil Buffer has none. It may be read by many
// goroutines at once, and is released by the last one.
type Buffer struct {
	base  *byte  // of what was allocated
	pages []byte // whole pages in it
	n     int
}

// New returns a buffer of n zero bytes; nil if n is not positive.
func New(n int) *Buffer {
	if n <= 0 {
		return nil
	}
	b := &Buffer{n: n}
	b.base, b.pages = alloc(n)
	note(protect(b.pages))
	// Set on the memory and not on the Buffer, which a slice may outlive. And a
	// finalizer, because a cleanup may run when the memory is something else's.
	pages, base := len(b.pages), offset(b.base, b.pages)
	runtime.SetFinalizer(b.base, func(p *byte) { release(unsafe.Slice(p, base+pages)[base:]) })
	return b
}

// Bytes are the buffer's bytes; nil after Release.
func (b *Buffer) Bytes() []byte {
	if b == nil || b.pages == nil {
		return nil
	}
	return b.pages[:b.n:b.n]
}

// Release overwrites the bytes and gives the memory back. It may be called more
// than once.
func (b *Buffer) Release() {
	if b == nil || b.pages == nil {
		return
	}
	runtime.SetFinalizer(b.base, nil)
	release(b.pages)
	b.base, b.pages = nil, nil
}

func release(pages []byte) {
	clear(pages)
	unprotect(pages)
}

var pageSize = os.Getpagesize()

// alloc returns n bytes or more, in whole pages. Go's allocator gives pages to
// who asks for their size, and does not promise to.
func alloc(n int) (base *byte, pages []byte) {
	size := (n + pageSize - 1) / pageSize * pageSize
	block := make([]byte, size)
	if base = unsafe.SliceData(block); uintptr(unsafe.Pointer(base))%uintptr(pageSize) == 0 {
		return base, block
	}
	block = make([]byte, size+pageSize)
	base = unsafe.SliceData(block)
	skip := (pageSize - int(uintptr(unsafe.Pointer(base))%uintptr(pageSize))) % pageSize
	return base, block[skip : skip+size]
}

func offset(base *byte, pages []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(pages))) - uintptr(unsafe.Pointer(base)))
}

// refused is why memory could not be locked, the first time.
var refused atomic.Pointer[error]

func note(err error) {
	if err != nil {
		refused.CompareAndSwap(nil, &err)
	}
}

// Refused says why the system would not lock memory when it was asked to; nil
// if it always did. It wraps errors.ErrUnsupported where the platform has no
// such thing.
func Refused() error {
	if err := refused.Load(); err != nil {
		return *err
	}
	return nil
}
