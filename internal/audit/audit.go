// Package audit is the agent's trail of security decisions: one JSON line for
// every admission, release, refusal and revocation, written before the
// decision takes effect.
//
// A Record has a fixed set of fields, none of which can hold a secret: the
// package has no type for free-form data. It does not know why a decision was
// taken, and it never drops one: when a record cannot be written, Write fails
// and the caller must not go on.
package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// Event names what happened. The list is closed: scripts and alerts rely on it.
type Event string

const (
	// SpecStale: a container's credential spec is the last that its source had,
	// because the source cannot be asked. What is decided on it follows.
	SpecStale Event = "credspec.stale"
	// SecretStale: a plugin user is what the secret's store gave last, because the
	// store cannot be asked. What is decided on it follows.
	SecretStale Event = "secret.stale"
	// AdmitGranted: a container may use its credential spec, and a grant exists.
	AdmitGranted Event = "admit.granted"
	// AdmitPassed: a container's credential spec is left as it is, because it
	// names another plugin or the host is a domain member. There is no grant.
	AdmitPassed Event = "admit.passed"
	// AdmitRefused: a container asked and may not start.
	AdmitRefused Event = "admit.refused"
	// RedeemReleased: the plugin user's credentials go to CCG's plugin host.
	RedeemReleased Event = "redeem.released"
	// RedeemRefused: somebody asked on the plugin channel and got nothing.
	RedeemRefused Event = "redeem.refused"
	// GrantRevoked: a grant ended; its token redeems nothing from here on.
	GrantRevoked Event = "grant.revoked"
	// InstanceRemoved: a CCG instance whose container is gone is removed from HCS.
	InstanceRemoved Event = "instance.removed"
	// ContainerCreated: a container that asks for a gMSA was made, and may have
	// it; it is admitted when it is started. Of runtimes that tell the two apart.
	ContainerCreated Event = "container.created"
	// ContainerRestarted: a runtime has started a container again by itself, which
	// goes on with what it was admitted with.
	ContainerRestarted Event = "container.restarted"
	// SecretForgotten: somebody has the agent drop what it has cached of a secret,
	// and why.
	SecretForgotten Event = "secret.forgotten"
	// InjectionLost: a container was started without the document it was
	// admitted for, because the create event came too late.
	InjectionLost Event = "injection.lost"
	// ControlRefused: somebody who is no administrator called the control channel.
	ControlRefused Event = "control.refused"
	// AgentStarted and AgentStopped frame the agent's life; a start without a
	// stop before it means that the agent was killed.
	AgentStarted Event = "agent.started"
	AgentStopped Event = "agent.stopped"
	// ConfigApplied and ConfigRejected: the configuration file changed.
	ConfigApplied  Event = "config.applied"
	ConfigRejected Event = "config.rejected"
)

// Events are all events, in the order of a container's life.
var Events = []Event{
	AgentStarted, ConfigApplied, ConfigRejected, SpecStale, SecretStale, ContainerCreated, AdmitGranted, AdmitPassed, AdmitRefused, InjectionLost,
	RedeemReleased, RedeemRefused, ContainerRestarted, GrantRevoked, InstanceRemoved, SecretForgotten, ControlRefused, AgentStopped,
}

// Record is one line of the trail.
type Record struct {
	Time  time.Time `json:"time"`
	Event Event     `json:"event"`

	Container *hook.Key `json:"container,omitempty"`
	Image     string    `json:"image,omitempty"`

	Reference string `json:"reference,omitempty"` // the credential spec's
	Digest    string `json:"digest,omitempty"`    // SHA-256 of the credential spec as its source had it
	Domain    string `json:"domain,omitempty"`    // DNS name of the credential spec's domain
	Account   string `json:"account,omitempty"`   // the gMSA, without "$"
	Grant     string `json:"grant,omitempty"`     // public name, not the token
	Place     string `json:"place,omitempty"`     // where containers share the document

	Secret  string `json:"secret,omitempty"`  // the secret's reference
	Version string `json:"version,omitempty"` // the version of it that was released, is stale or was forgotten

	Peer *Peer `json:"peer,omitempty"` // who asked on a channel

	Reason string `json:"reason,omitempty"`
}

// Peer is the caller of a channel.
type Peer struct {
	PID   int    `json:"pid"`
	Image string `json:"image,omitempty"`
	User  string `json:"user,omitempty"`
}

// maxField bounds every text of a record, so that a hostile label or reference
// cannot grow the trail: 1 KiB holds every legal reference to a file or object
// that the project knows.
const maxField = 1024

// MaxLine bounds a record's line: each of a record's texts has at most maxField
// bytes, and JSON makes at most six of one ("\u0001"). The rest is for the
// fields' names, the time, the process number and the marks of clipped texts.
const MaxLine = texts*maxField*6 + 1024

// texts is how many texts a record has, its container's and its peer's
// included.
const texts = 16

func clip(s string) string {
	if len(s) <= maxField {
		return s
	}
	s = s[:maxField]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

func (r *Record) clip() {
	r.Event = Event(clip(string(r.Event)))
	for _, p := range []*string{&r.Image, &r.Reference, &r.Digest, &r.Domain, &r.Account, &r.Grant, &r.Place, &r.Secret, &r.Version, &r.Reason} {
		*p = clip(strings.ToValidUTF8(*p, "\uFFFD"))
	}
	if r.Container != nil {
		k := hook.Key{Runtime: clip(r.Container.Runtime), Namespace: clip(r.Container.Namespace), ID: clip(r.Container.ID)}
		r.Container = &k
	}
	if r.Peer != nil {
		p := Peer{PID: r.Peer.PID, Image: clip(r.Peer.Image), User: clip(r.Peer.User)}
		r.Peer = &p
	}
}

// Log appends records to a file and starts a new one when it is full. It is
// safe for concurrent use by one process.
type Log struct {
	path    string
	maxSize int64
	keep    int
	rename  func(from, to string) error

	mu       sync.Mutex
	closed   bool
	file     *os.File // nil: it could not be opened; the next Write tries again
	size     int64
	rotateAt int64 // the size that a rotation is tried at
	torn     bool  // the last line may be cut short
}

// Defaults of a Log: 32 MiB hold some 60,000 records.
const (
	DefaultMaxSize = 32 << 20
	DefaultKeep    = 5
)

// Open opens the trail at path for appending. When the file would exceed
// maxSize bytes it is renamed to path.1 (path.1 to path.2, and so on; the
// oldest of keep old files is removed). Zero values choose the defaults. The
// folder must exist; the file is made readable for its owner only.
func Open(path string, maxSize int64, keep int) (*Log, error) {
	if maxSize <= 0 {
		maxSize = DefaultMaxSize
	}
	if keep <= 0 {
		keep = DefaultKeep
	}
	l := &Log{path: path, maxSize: max(maxSize, MaxLine), keep: keep, rename: os.Rename}
	l.rotateAt = l.maxSize
	_ = l.shift() // what keeps an old file in its place does not keep us from writing
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return l, nil
}

func (l *Log) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, st.Size()
	l.torn = l.endsTorn()
	return nil
}

// endsTorn says whether a kill or a full disk may have cut the last line short.
func (l *Log) endsTorn() bool {
	if l.size == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err := l.file.ReadAt(last, l.size-1)
	return err != nil || last[0] != '\n'
}

// Write appends r; a zero Time becomes now. When it returns nil the record has
// reached the operating system: it survives the end of the process.
func (l *Log) Write(r Record) error {
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	r.Time = r.Time.UTC()
	r.clip()
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	line = append(line, '\n')

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.New("audit: the trail is closed")
	}
	if err := l.append(line); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

func (l *Log) append(line []byte) error {
	if l.file == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.size > 0 && l.size+int64(len(line)) > l.rotateAt {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	if l.torn {
		// Half a record must not spoil the next one.
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	l.torn = err != nil
	return err
}

// retryShare is how much a file grows before a failed rotation is tried again,
// as a share of its size: whoever has an old file open may have it open for
// days, and a container waits while we try.
const retryShare = 8

// rotate starts a new file. Where that is not possible the old one goes on:
// better a trail that grows than one that stops.
func (l *Log) rotate() error {
	err := l.file.Close() // Windows renames no file that is open
	l.file = nil
	if err != nil {
		return err
	}
	err = l.setAside()
	if reopen := l.open(); reopen != nil {
		return errors.Join(err, reopen)
	}
	l.rotateAt = l.maxSize
	if err != nil {
		l.rotateAt = l.size + l.maxSize/retryShare
	}
	return nil
}

// Path is the current file's absolute path, for messages.
func (l *Log) Path() string {
	if abs, err := filepath.Abs(l.path); err == nil {
		return abs
	}
	return l.path
}

// Close closes the trail; a later Write fails.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
