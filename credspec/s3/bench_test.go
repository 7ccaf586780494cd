package s3_test

import (
	"fmt"
	"net/http"
	"testing"
)

// What a request costs here, with a server that takes no time.
func BenchmarkResolve(b *testing.B) {
	s, _ := answering(b, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Resolve(b.Context(), object); err != nil {
			b.Fatal(err)
		}
	}
}
