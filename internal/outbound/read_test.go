package outbound

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadAllReadsToTheEndOrOneByteMoreThanTheLimit(t *testing.T) {
	text := strings.Repeat("0123456789", 10_000)
	for limit, want := range map[int]int{0: 1, 1: 2, 4095: 4096, 4096: 4097, 50_000: 50_001, 99_999: 100_000, 100_000: 100_000, 1 << 20: 100_000} {
		for _, r := range []io.Reader{strings.NewReader(text), iotest.HalfReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
			if b, err := ReadAll(r, limit); err != nil || string(b) != text[:want] {
				t.Errorf("limit %d: %d bytes, %v; want %d", limit, len(b), err, want)
			}
		}
	}
}

// keeper remembers the buffers that it was asked to fill.
type keeper struct {
	io.Reader
	buffers [][]byte
}

func (k *keeper) Read(p []byte) (int, error) {
	n, err := k.Reader.Read(p)
	k.buffers = append(k.buffers, p[:n])
	return n, err
}

func TestReadAllLeavesNothingBehind(t *testing.T) {
	secret := []byte("C4nary")
	broken := errors.New("broken")
	for _, end := range []error{nil, broken} {
		source := io.Reader(bytes.NewReader(bytes.Repeat(secret, 10_000)))
		if end != nil {
			source = io.MultiReader(source, iotest.ErrReader(end))
		}
		k := &keeper{Reader: source}
		b, err := ReadAll(k, 1<<20)
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		clear(b)
		for _, buffer := range k.buffers {
			if bytes.Contains(buffer, secret) {
				t.Fatalf("a buffer of %d bytes still has the secret", len(buffer))
			}
		}
	}
}
