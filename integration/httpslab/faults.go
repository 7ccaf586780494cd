package httpslab

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The kinds of /fault/KIND/NAME. Those that need HTTP/1 say 501 elsewhere.
const (
	Truncated    = "truncated"     // half of the announced length, then the connection breaks
	Chunked      = "chunked"       // half of the document without a length, then it breaks
	TooShort     = "too-short"     // the whole document, and a greater length announced
	Unlengthed   = "unlengthed"    // the document until the connection's end (HTTP/1)
	Huge         = "huge"          // announces 1 TiB
	Endless      = "endless"       // does not stop
	GzipBomb     = "gzip-bomb"     // 16 MiB of zeros, compressed, whatever was asked for
	Gzipped      = "gzipped"       // the document, compressed, whatever was asked for
	SlowHeader   = "slow-header"   // never gets to its header
	Drip         = "drip"          // a byte now and then
	Closed       = "closed"        // breaks without an answer
	NotHTTP      = "not-http"      // another protocol's greeting (HTTP/1)
	LongHeader   = "long-header"   // 1 MiB of header
	WebPage      = "web-page"      // 200 with a sign-in page
	HTMLDocument = "html-document" // the document as text/html
)

func (l *Lab) fault(w http.ResponseWriter, r *http.Request) {
	d, ok := l.document(r)
	if !ok {
		http.Error(w, Canary, http.StatusNotFound)
		return
	}
	h, half := w.Header(), d.data[:len(d.data)/2]
	h.Set("Content-Type", "application/json")
	length := func(n int) { h.Set("Content-Length", strconv.Itoa(n)) }
	flush := func() { _ = http.NewResponseController(w).Flush() }
	write := func(b []byte) bool {
		_, err := w.Write(b)
		return err == nil && l.stops.Err() == nil
	}
	switch r.PathValue("kind") {
	case Truncated:
		length(len(d.data))
		write(half)
		flush()
		panic(http.ErrAbortHandler)
	case Chunked:
		write(half)
		flush()
		panic(http.ErrAbortHandler)
	case TooShort:
		length(len(d.data) + 100)
		write(d.data)
	case Unlengthed:
		l.raw(w, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"+string(d.data))
	case Huge:
		length(1 << 40)
		write(half)
	case Endless:
		for block := bytes.Repeat([]byte(Canary+" "), 1<<10); write(block); {
		}
	case GzipBomb:
		h.Set("Content-Encoding", "gzip")
		flush() // making it takes longer than clients wait for a header, on a busy machine
		write(gzipped(make([]byte, 16<<20)))
	case Gzipped:
		h.Set("Content-Encoding", "gzip")
		write(gzipped(d.data))
	case SlowHeader:
		l.wait(r)
	case Drip:
		length(len(d.data))
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := range d.data {
			if !write(d.data[i : i+1]) {
				return
			}
			flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			case <-l.stops.Done():
				return
			}
		}
	case Closed:
		panic(http.ErrAbortHandler)
	case NotHTTP:
		l.raw(w, "SSH-2.0-"+Canary+"\r\n")
	case LongHeader:
		h.Set("X-Long", strings.Repeat("x", 1<<20))
		write(d.data)
	case WebPage:
		h.Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "\n<!DOCTYPE html><title>Sign in</title>%s", Canary)
	case HTMLDocument:
		h.Set("Content-Type", "text/html")
		write(d.data)
	default:
		http.Error(w, Canary, http.StatusNotFound)
	}
}

// raw sends what package http would not.
func (l *Lab) raw(w http.ResponseWriter, text string) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "needs HTTP/1", http.StatusNotImplemented)
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(text)) // the client may have left
}

// wait waits for the client to leave.
func (l *Lab) wait(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-l.stops.Done():
	}
	panic(http.ErrAbortHandler)
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data) // a Buffer takes everything
	_ = z.Close()
	return b.Bytes()
}
