package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

const (
	recordName = "install.json"
	lockName   = "install.lock"
	// beforeFolder has copies of the files that were where ours are now.
	beforeFolder = "before"

	// maxRecord is a hundred times what a record with a long registration has.
	maxRecord = 1 << 20
	// recordFormat changes when an older program could not undo what it reads.
	recordFormat = 1
)

// record is what was installed, and what was there before.
type record struct {
	Format   int        `json:"format"`
	Current  *Installed `json:"current,omitempty"`
	Previous *Installed `json:"previous,omitempty"` // the version before, whose files are kept
	Before   before     `json:"before"`
	Pending  *pending   `json:"pending,omitempty"` // what has begun and has not ended
	// Leftovers are files that were in use when they were to be removed.
	Leftovers []string `json:"leftovers,omitempty"`
}

// Installed is a version on this host.
type Installed struct {
	Version  string          `json:"version"`
	Folder   string          `json:"folder"`
	Files    []InstalledFile `json:"files"`
	Plugin   string          `json:"plugin,omitempty"`
	Services []Definition    `json:"services"`
	Config   string          `json:"config,omitempty"`
	State    []string        `json:"state,omitempty"`
}

// InstalledFile is a file of an installed version.
type InstalledFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Stable string `json:"stable,omitempty"`
}

func (i *Installed) path(name string) string {
	return filepath.Join(i.Folder, filepath.FromSlash(name))
}

func (i *Installed) service(name string) (Definition, bool) {
	if i != nil {
		for _, d := range i.Services {
			if d.Name == name {
				return d, true
			}
		}
	}
	return Definition{}, false
}

func (i *Installed) stable(path string) (InstalledFile, bool) {
	if i != nil {
		for _, f := range i.Files {
			if f.Stable == path {
				return f, true
			}
		}
	}
	return InstalledFile{}, false
}

func (i *Installed) version() string {
	if i == nil {
		return ""
	}
	return i.Version
}

// before is what was on the host where ours is now.
type before struct {
	Made     []string                   `json:"made"` // folders that were not there, the outermost first
	Stable   map[string]string          `json:"stable,omitempty"`
	Plugin   json.RawMessage            `json:"plugin,omitempty"`
	Events   json.RawMessage            `json:"events,omitempty"`
	Services map[string]json.RawMessage `json:"services,omitempty"` // null: there was none
}

// service is the configuration that a service had; nil if there was none.
func (b before) service(name string) json.RawMessage {
	if saved := b.Services[name]; string(saved) != "null" {
		return saved
	}
	return nil
}

// pending is an operation that has begun.
type pending struct {
	Operation Operation       `json:"operation"`
	To        *Installed      `json:"to,omitempty"`      // of Install
	Purge     bool            `json:"purge,omitempty"`   // of Uninstall
	Running   map[string]bool `json:"running,omitempty"` // services that ran when it began
}

// Operation is what a plan is for.
type Operation string

// The operations.
const (
	Install   Operation = "install"
	Uninstall Operation = "uninstall"
)

// readRecord returns nil where nothing was installed.
func (h *Host) readRecord() (*record, error) {
	path := filepath.Join(h.Records, recordName)
	f, err := private.OpenReplaced(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r.withPaths(func(path string) string { return filepath.Join(h.Root, path) }), nil
}

// withPaths is the record with other paths. A record has a host's paths as they
// are once it runs.
func (r *record) withPaths(path func(string) string) *record {
	all := func(paths []string) (out []string) {
		for _, p := range paths {
			out = append(out, path(p))
		}
		return out
	}
	installed := func(i *Installed) *Installed {
		if i == nil {
			return nil
		}
		c := *i
		c.Folder, c.State, c.Files, c.Services = path(i.Folder), all(i.State), nil, nil
		for _, f := range i.Files {
			if f.Stable != "" {
				f.Stable = path(f.Stable)
			}
			c.Files = append(c.Files, f)
		}
		for _, d := range i.Services {
			d.Program = path(d.Program)
			c.Services = append(c.Services, d)
		}
		return &c
	}
	c := *r
	c.Current, c.Previous, c.Leftovers = installed(r.Current), installed(r.Previous), all(r.Leftovers)
	c.Before.Made, c.Before.Stable = all(r.Before.Made), nil
	for p, kept := range r.Before.Stable {
		if c.Before.Stable == nil {
			c.Before.Stable = map[string]string{}
		}
		c.Before.Stable[path(p)] = kept
	}
	if r.Pending != nil {
		p := *r.Pending
		p.To = installed(p.To)
		c.Pending = &p
	}
	return &c
}

func parseRecord(data []byte) (*record, error) {
	if len(data) > maxRecord {
		return nil, fmt.Errorf("%w: more than %d bytes", fault.ErrMalformed, maxRecord)
	}
	var format struct{ Format int }
	if err := json.Unmarshal(data, &format); err != nil {
		return nil, fmt.Errorf("%w: %w", fault.ErrMalformed, err)
	}
	if format.Format != recordFormat {
		return nil, fmt.Errorf("%w: format %d, and this program knows %d: use the program that installed it", errors.ErrUnsupported, format.Format, recordFormat)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	r := new(record)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("%w: %w", fault.ErrMalformed, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%w: something stands behind the record", fault.ErrMalformed)
	}
	return r, r.check()
}

// check refuses a record by which a folder would be removed that cannot be ours.
func (r *record) check() error {
	for _, i := range []*Installed{r.Current, r.Previous, r.to()} {
		if i == nil {
			continue
		}
		if !filepath.IsAbs(i.Folder) || filepath.Base(filepath.Dir(i.Folder)) != versionsFolder {
			return fmt.Errorf("%w: %q is no version's folder", fault.ErrMalformed, i.Folder)
		}
		for _, f := range i.Files {
			if !filepath.IsLocal(filepath.FromSlash(f.Name)) || f.Stable != "" && !filepath.IsAbs(f.Stable) {
				return fmt.Errorf("%w: %q is no file of a version", fault.ErrMalformed, f.Name)
			}
		}
	}
	for path, copied := range r.Before.Stable {
		if !filepath.IsAbs(path) || strings.ContainsAny(copied, `/\`) {
			return fmt.Errorf("%w: %q was not kept as %q", fault.ErrMalformed, path, copied)
		}
	}
	return nil
}

func (r *record) to() *Installed {
	if r.Pending == nil {
		return nil
	}
	return r.Pending.To
}

func (h *Host) write(r *record) error {
	r.Format = recordFormat
	data, err := json.MarshalIndent(r.withPaths(func(path string) string { return strings.TrimPrefix(path, h.Root) }), "", "  ")
	if err != nil {
		return err
	}
	if err := private.Replace(h.Records, recordName, data, private.Replacing{}); err != nil {
		return fmt.Errorf("record of the installation: %w", err)
	}
	return nil
}

// removeRecord ends the record and what belongs to it.
func (h *Host) removeRecord() error {
	_, err := removeTree(filepath.Join(h.Records, beforeFolder))
	if err != nil {
		return err
	}
	if err := private.Remove(filepath.Join(h.Records, recordName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// installed reads the record's word about what is there, for those who only look.
func (h *Host) installed() (*record, error) {
	r, err := h.readRecord()
	if err != nil && errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: %w", fault.ErrDenied, err)
	}
	if r == nil {
		r = &record{}
	}
	return r, err
}

// Config is the configuration file of what is installed, and whether anything is.
func (h *Host) Config() (path string, found bool, err error) {
	r, err := h.installed()
	if err != nil {
		return "", false, err
	}
	switch {
	case r.Current != nil:
		return r.Current.Config, true, nil
	case r.to() != nil:
		return r.to().Config, true, nil
	}
	return "", false, nil
}

// Has says whether a service of that name is installed as one of ours.
func (h *Host) Has(name string) (bool, error) {
	r, err := h.installed()
	if err != nil {
		return false, err
	}
	i := r.Current
	if i == nil {
		i = r.to()
	}
	_, has := i.service(name)
	return has, nil
}
