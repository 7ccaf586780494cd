package kubeclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Change is one event of a watch: what became of an object, and what identifies
// it now. Nothing else of the object is kept.
type Change struct {
	Type            string // "ADDED", "MODIFIED", "DELETED"
	Name            string
	UID             string
	ResourceVersion string // of a deletion: that of the deletion
}

// Watch is a stream of changes. One goroutine reads it.
type Watch struct {
	c      *Client
	ctx    context.Context
	cancel context.CancelFunc
	server string
	body   io.ReadCloser
	buf    []byte // what was read and is no whole event yet
}

// maxEvent bounds an event, in bytes: metadata has at most 256 KiB of annotations
// (k8s.io/apimachinery, TotalAnnotationSizeLimitB), and beside them little but
// its managedFields.
const maxEvent = 1 << 20

// Watch asks what becomes of the object of that name in the collection at path
// ("/api/v1/namespaces/default/secrets"), from now on and for so long; the API
// server ends it then. It begins with an ADDED of the object as it is, if there
// is one: there is no place to resume from, and so none that could be too old.
//
// The objects' metadata alone is asked for. Even that may have secrets in it
// (`kubectl apply` keeps a copy of a whole object in an annotation), so all of it
// that is not in a [Change] is overwritten.
//
// Its errors are those of [Client.Get]. The right to watch the one object is
// enough for it. The caller closes the watch.
func (c *Client) Watch(ctx context.Context, path, name string, lasting time.Duration) (*Watch, error) {
	// The answer ends when its context does. A server that hangs is left a
	// little after it should have ended the watch.
	ctx, cancel := context.WithTimeout(ctx, lasting+10*time.Second)
	resp, server, err := c.ask(ctx, path, url.Values{
		"watch":          {"true"},
		"fieldSelector":  {"metadata.name=" + name},
		"timeoutSeconds": {strconv.Itoa(int(lasting.Seconds()))},
	}, Metadata)
	if err != nil {
		cancel()
		return nil, err
	}
	return &Watch{c: c, ctx: ctx, cancel: cancel, server: server, body: resp.Body}, nil
}

// Close ends the watch.
func (w *Watch) Close() error {
	w.cancel()
	clear(w.buf)
	return w.body.Close()
}

// Next waits for the next change. io.EOF says that the time of the watch is
// over; any other error wraps a fault kind and ends the watch too.
func (w *Watch) Next() (Change, error) {
	for {
		line, err := w.line()
		if err != nil {
			return Change{}, err
		}
		change, err := w.decode(line)
		clear(line)
		if err != nil || change.Type != "BOOKMARK" {
			return change, err
		}
	}
}

func (w *Watch) decode(line []byte) (Change, error) {
	var event struct {
		Type   string
		Object struct {
			Metadata struct{ Name, UID, ResourceVersion string }
			Code     int // of an ERROR's Status
			Reason   string
			Message  string
		}
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return Change{}, fmt.Errorf("API server %s: what it sends in a watch is no event: %w", w.server, fault.ErrUnavailable)
	}
	o := event.Object
	switch event.Type {
	case "ADDED", "MODIFIED", "DELETED", "BOOKMARK":
		return Change{event.Type, o.Metadata.Name, o.Metadata.UID, o.Metadata.ResourceVersion}, nil
	case "ERROR":
		return Change{}, fmt.Errorf("API server %s: the watch ends with %d %s: %s: %w", w.server, o.Code, http.StatusText(o.Code), oneLine(o.Message), fault.ErrUnavailable)
	}
	return Change{}, fmt.Errorf("API server %s: an event of a type that there is not: %w", w.server, fault.ErrUnavailable)
}

// line reads to the end of a line, which an event is. What it returns is the
// caller's to overwrite.
func (w *Watch) line() ([]byte, error) {
	for searched := 0; ; {
		if i := bytes.IndexByte(w.buf[searched:], '\n'); i >= 0 {
			line := w.buf[:searched+i]
			w.buf = w.buf[searched+i+1:]
			if len(bytes.TrimSpace(line)) == 0 {
				searched = 0
				continue
			}
			return line, nil
		}
		searched = len(w.buf)
		if len(w.buf) > maxEvent {
			return nil, fmt.Errorf("API server %s: an event has more than %d bytes: %w", w.server, maxEvent, fault.ErrMalformed)
		}
		if len(w.buf) == cap(w.buf) { // the beginning of the array belongs to lines that are done with
			larger := make([]byte, len(w.buf), 2*len(w.buf)+4<<10)
			copy(larger, w.buf)
			clear(w.buf)
			w.buf = larger
		}
		n, err := w.body.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		switch {
		case n > 0: // an error comes back with the next read
		case errors.Is(err, io.EOF) && len(w.buf) == 0 && w.ctx.Err() == nil:
			return nil, io.EOF
		case err != nil:
			return nil, w.c.unanswered(w.ctx, w.server, err)
		}
	}
}
