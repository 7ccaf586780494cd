package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// A document's file is a line that names the format, a line of JSON, the
// document's bytes, a line end and a line with the SHA-256 of all that stands
// before it. That finds what was torn or edited; who may write to the folder can
// compute it too.
const (
	magicPrefix = "gmsa-agent cached credential spec "
	magic       = magicPrefix + "1\n"
	trailer     = 1 + 2*sha256.Size + 1

	// maxShown: what is left out of a reference's query is shown as "***", so
	// that "a=&" grows to "a=***&".
	maxShown = 2 * credspec.MaxRef
	// maxOrigin: the mark of a cut text has three bytes.
	maxOrigin = maxText + 3
	// maxHeader: JSON makes at most six bytes of one; the rest is for the
	// digests, the time and the fields' names.
	maxHeader = 6*(maxShown+maxOrigin+maxText) + 1024
	maxFile   = len(magic) + maxHeader + credspec.MaxSize + trailer
)

// header is the second line of a file.
type header struct {
	Name      string    `json:"name"`      // the file's: of which reference it is
	Reference string    `json:"reference"` // for people
	Origin    string    `json:"origin"`
	Tag       string    `json:"tag,omitempty"`
	Confirmed time.Time `json:"confirmed"`
	Digest    string    `json:"digest"` // of the document
	Bytes     int       `json:"bytes"`  // of the document
}

// encode returns the content of a document's file.
func encode(name string, h *held, confirmed time.Time) ([]byte, error) {
	line, err := json.Marshal(header{
		Name: name, Reference: h.shown, Origin: h.origin, Tag: h.tag, Confirmed: confirmed.UTC().Round(0), Digest: h.digest, Bytes: len(h.data),
	})
	if err != nil {
		return nil, err
	}
	if len(line) > maxHeader {
		return nil, fmt.Errorf("the header would have %d bytes: %w", len(line), fault.ErrMalformed)
	}
	b := make([]byte, 0, len(magic)+len(line)+1+len(h.data)+trailer)
	b = append(b, magic...)
	b = append(append(b, line...), '\n')
	b = append(b, h.data...)
	return seal(b), nil
}

func seal(b []byte) []byte {
	sum := sha256.Sum256(b)
	b = append(b, '\n')
	b = hex.AppendEncode(b, sum[:])
	return append(b, '\n')
}

// decode reads the content of the file of that name. It wraps fault.ErrMalformed
// where that is damaged or another's, and errors.ErrUnsupported where another
// version wrote it, and quotes nothing of it.
func decode(name string, b []byte) (*held, time.Time, error) {
	if len(b) > maxFile {
		return nil, time.Time{}, damaged("longer than %d bytes", maxFile)
	}
	if !bytes.HasPrefix(b, []byte(magic)) {
		if bytes.HasPrefix(b, []byte(magicPrefix)) {
			return nil, time.Time{}, fmt.Errorf("written by another version of gmsa-agent: %w", errors.ErrUnsupported)
		}
		return nil, time.Time{}, damaged("cut short, or no cached credential spec")
	}
	end := len(b) - trailer
	if end < len(magic) || !bytes.Equal(seal(bytes.Clone(b[:end])), b) {
		return nil, time.Time{}, damaged("its digest is not that of its content")
	}
	line, data, found := bytes.Cut(b[len(magic):end], []byte{'\n'})
	if !found {
		return nil, time.Time{}, damaged("it has no header")
	}
	var h header
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&h); err != nil {
		return nil, time.Time{}, damaged("its header is not what this version writes")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, time.Time{}, damaged("its header is not what this version writes")
	}
	switch {
	case h.Name != name:
		return nil, time.Time{}, damaged("it is of another reference")
	case h.Bytes != len(data) || h.Digest != credspec.Digest(data):
		return nil, time.Time{}, damaged("the document is not the one of its header")
	case len(data) == 0 || len(data) > credspec.MaxSize || h.Confirmed.IsZero(),
		len(h.Reference) > maxShown || len(h.Origin) > maxOrigin || len(h.Tag) > maxText:
		return nil, time.Time{}, damaged("its header is not what this version writes")
	}
	return &held{data: bytes.Clone(data), shown: h.Reference, origin: h.Origin, tag: h.Tag, digest: h.Digest}, h.Confirmed, nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, fault.ErrMalformed)...)
}
