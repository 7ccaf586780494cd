package outbound

import "io"

// ReadAll reads to the end, or one byte more than limit, so that the caller sees
// that there is more. It is for what is secret: no copy of what was read is left
// behind in buffers that it has outgrown.
//
// What was read before an error is not returned, and overwritten.
func ReadAll(r io.Reader, limit int) ([]byte, error) {
	b := make([]byte, 0, 4<<10)
	for len(b) <= limit {
		if len(b) == cap(b) {
			larger := make([]byte, len(b), 2*cap(b))
			copy(larger, b)
			clear(b)
			b = larger
		}
		n, err := r.Read(b[len(b):min(cap(b), limit+1)])
		b = b[:len(b)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			clear(b)
			return nil, err
		}
	}
	return b, nil
}
