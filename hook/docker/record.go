package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// record remembers what the agent has put into which place, across its life: a
// document that somebody else put there, or changed, is not the agent's to
// overwrite or to remove. It holds digests and no document.
type record struct {
	file string

	mu     sync.Mutex
	places map[string]claims // by path
}

// claims are what may stand in one place and is the agent's: the document that was
// written last, and beside it one whose writing was begun.
type claims struct {
	Registry bool    `json:"registry,omitempty"`
	Name     string  `json:"name"`
	Claims   []claim `json:"claims"`
}

type claim struct {
	SHA256 string `json:"sha256"`
	Made   string `json:"made"` // hook.Copy's
}

const recordFile = "docker-places.json"

// maxRecord bounds the file: some thousand places.
const maxRecord = 4 << 20

func openRecord(dir string, log *slog.Logger) *record {
	r := &record{file: filepath.Join(dir, recordFile), places: map[string]claims{}}
	if err := r.load(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("it is not known any more which of Docker's credential specs are the agent's: what stands in their places is left alone", "file", r.file, "error", err)
		r.places = map[string]claims{}
	}
	return r
}

func (r *record) load() error {
	f, err := private.OpenReplaced(r.file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &r.places)
}

func digestOf(document []byte) string {
	sum := sha256.Sum256(document)
	return hex.EncodeToString(sum[:])
}

// own returns what a document was made of, if it is the agent's.
func (r *record) own(path string, document []byte) (made string, ours bool) {
	sum := digestOf(document)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.places[path].Claims {
		if c.SHA256 == sum {
			return c.Made, true
		}
	}
	return "", false
}

// claim adds what is about to be written. After written, only that is left.
func (r *record) claim(path string, c claims) error {
	return r.change(func() {
		old := r.places[path].Claims
		c.Claims = append(c.Claims, old...)
		r.places[path] = c
	})
}

func (r *record) written(path string) error {
	return r.change(func() {
		c := r.places[path]
		c.Claims = c.Claims[:min(1, len(c.Claims))]
		r.places[path] = c
	})
}

func (r *record) forget(path string) error { return r.change(func() { delete(r.places, path) }) }

// all are the places that are remembered.
func (r *record) all() map[string]claims {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.places)
}

func (r *record) change(f func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := maps.Clone(r.places)
	f()
	for path, c := range r.places {
		if len(c.Claims) > 16 { // writings that all failed: the oldest can hardly be there
			c.Claims = slices.Clone(c.Claims[:16])
			r.places[path] = c
		}
	}
	data, err := json.Marshal(r.places)
	if err == nil {
		err = private.Replace(filepath.Dir(r.file), filepath.Base(r.file), data, private.Replacing{})
	}
	if err != nil {
		r.places = before
		return fmt.Errorf("what is the agent's cannot be noted in %s: %w", r.file, err)
	}
	return nil
}
