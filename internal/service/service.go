// Package service makes the agent a service of its host and takes it away
// again: program folders, the plugin's registration, Windows' service or
// systemd's unit, upgrades and their way back.
//
// What is done is a plan of steps, each of which can be undone. Before the
// first step a record says what is about to happen and what was there before,
// so that a step that fails, or a host that stops in the middle, leaves
// something that the next call brings back.
//
// The package knows folders, files, the registry and service managers. It
// refuses to know the agent's configuration, its channels and what it does: it
// is told which files make a version, how they are started, and how to ask the
// running agent who it is.
package service

import (
	"context"
	"encoding/json"
	"time"
)

// Name is the agent's service, on Windows and in systemd.
const Name = "gmsa-agent"

// GateName is the service of Docker's gate, on hosts that want it.
const GateName = "gmsa-agent-docker-gate"

// Host is where the agent is installed.
type Host struct {
	Programs string // the folder of the programs; everybody may read it
	Records  string // the folder of the record, for administrators alone

	Manager Manager
	Plugin  Registration // of CCG's plugin; nil: this system has no CCG
	Events  Registration // of the source of events; nil: this system has none

	// Root is the folder of a host that does not run, in which all its paths are:
	// nothing is started there. Empty: this host.
	Root string

	// Answer asks the running agent who it is.
	Answer func(context.Context) (Answer, error)

	// Patience is how long a started agent may take until it answers.
	Patience time.Duration

	// Progress is told each step that was done or undone; nil: nobody.
	Progress func(Step)

	// at is called before every step, with its name. Tests end the world there.
	at func(step string) error

	made []string // folders to remove when no record is left
}

// Answer is what a running agent says of itself.
type Answer struct {
	Version string
	PID     int
}

// Package is what a version is made of.
type Package struct {
	Version  string
	Files    []File
	Plugin   string       // the one of Files that is CCG's plugin; empty: none
	Services []Definition // the agent's first; Program is the name of one of Files
	Config   string       // the configuration file that the services were told; empty: the default
	State    []string     // files and folders of the agent's state, which a purge removes
}

// File is one file of a version.
type File struct {
	Name   string // below the version's folder, with slashes
	Source string // where it is copied from
	// Stable is a path that stays through upgrades, where a copy lies that
	// others' configuration names; empty: none.
	Stable string
	// SHA256 is the digest that it must have; empty: nobody has said.
	SHA256 string
}

// Definition is a service as the manager is to have it.
type Definition struct {
	Name        string   `json:"name"`
	DisplayName string   `json:"displayName"`
	Description string   `json:"description"`
	Program     string   `json:"program"`
	Args        []string `json:"args"`
	// Delayed has Windows start it after the other automatic services.
	Delayed bool `json:"delayed"`
	// Writable are folders that it writes to; a unit lets it write nowhere else.
	Writable []string `json:"writable,omitempty"`
}

// State is what a service is doing.
type State string

// The states, in Windows' and systemd's words alike.
const (
	Absent   State = "absent"
	Stopped  State = "stopped"
	Starting State = "starting"
	Running  State = "running"
	Stopping State = "stopping"
)

// Found is what a service manager has of a service.
type Found struct {
	State   State
	PID     int
	Program string // what it runs, with its arguments
	// Ended says how it ended, in words; empty while it runs, and where it ended well.
	Ended string
	// Saved is its configuration, for Restore; nil if there is none.
	Saved json.RawMessage
}

// Manager is the host's service manager.
type Manager interface {
	// Look says what there is of a service. One that is not there is no error.
	Look(name string) (Found, error)
	// Differences are those between the service that is there and d, in words.
	Differences(d Definition) ([]string, error)
	// Define makes the service, or changes it to be d. What this system does not
	// have of it, and what is safe to go without, comes back as warnings.
	Define(d Definition) (warnings []string, err error)
	// Restore brings back a service's saved configuration; nil removes it. A
	// service that is to be removed and is not there is no error.
	Restore(name string, saved json.RawMessage) error
	// Start returns when the service runs, or with why it does not.
	Start(ctx context.Context, name string) error
	// Stop returns when the service has ended. One that does not run is no error.
	Stop(ctx context.Context, name string) error
}

// Registration is where the system learns of a file of a version: CCG's plugin,
// or the messages of the event log's source.
type Registration interface {
	// Differences are those between what is registered and what Register would
	// write for file, in words.
	Differences(file string) ([]string, error)
	// Register replaces what is registered.
	Register(file string) error
	// Save reads what is registered, for Restore.
	Save() (json.RawMessage, error)
	Restore(saved json.RawMessage) error
}
