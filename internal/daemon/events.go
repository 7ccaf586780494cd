package daemon

import (
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
)

// eventTrail is the audit trail, of whose records the event log has the events:
// one place for both, so that neither tells what the other does not.
type eventTrail struct {
	agent.Trail
	events     *eventlog.Recorder
	unwritable atomic.Bool
}

// Write implements [agent.Trail]. The event follows the record: what could not
// be recorded does not happen.
func (t *eventTrail) Write(r audit.Record) error {
	if err := t.Trail.Write(r); err != nil {
		t.unwritable.Store(true)
		t.events.Record(eventlog.Entry{ID: eventlog.AuditUnwritable, Subject: string(r.Event), Params: []string{err.Error(), string(r.Event)}})
		return err
	}
	if t.unwritable.Swap(false) {
		t.events.Record(eventlog.Entry{ID: eventlog.AuditWritable})
	}
	if event, ok := ofRecord(r); ok {
		t.events.Record(event)
	}
	return nil
}

// ofRecord is the event of a record. The switch names every event of the trail;
// a test says which one it does not.
func ofRecord(r audit.Record) (e eventlog.Entry, ok bool) {
	container, gmsa := "", ""
	if r.Container != nil {
		container = r.Container.String()
	}
	if r.Account != "" {
		gmsa = r.Account + " of " + r.Domain
	}
	var peer audit.Peer
	pid := ""
	if r.Peer != nil {
		peer, pid = *r.Peer, strconv.Itoa(r.Peer.PID)
	}
	write := func(id eventlog.ID, params ...string) {
		e, ok = eventlog.Entry{ID: id, Params: params}, true
	}
	// repeats says what a repetition is of. A container that is made anew each
	// time it is refused differs in its name alone, which its reason may have too.
	repeats := func(of ...string) { e.Subject = strings.Join(of, "\x00") }
	switch r.Event {
	case audit.AgentStarted:
		write(eventlog.AgentStarted, r.Reason)
	case audit.AgentStopped:
		write(eventlog.AgentStopped)
	case audit.ConfigApplied:
		write(eventlog.ConfigApplied, r.Reason)
	case audit.ConfigRejected:
		write(eventlog.ConfigRejected, r.Reason)
		repeats(r.Reason)
	case audit.ControlRefused:
		write(eventlog.ControlRefused, peer.Image, pid, peer.User, r.Reason)
		repeats(peer.Image, peer.User)
	case audit.AdmitGranted:
		write(eventlog.AdmitGranted, container, r.Image, r.Reference, gmsa, r.Secret, r.Grant)
	case audit.AdmitPassed:
		write(eventlog.AdmitPassed, container, r.Image, r.Reference, gmsa, r.Reason)
	case audit.AdmitRefused:
		write(eventlog.AdmitRefused, container, r.Reason, r.Image, r.Reference, gmsa, r.Secret)
		repeats(r.Image, r.Reference, r.Secret)
	case audit.InjectionLost:
		write(eventlog.InjectionLost, container, r.Reason, r.Image, gmsa)
		repeats(r.Image, r.Reference)
	case audit.GrantRevoked:
		write(eventlog.GrantRevoked, container, r.Reason, gmsa, r.Grant)
	case audit.ContainerCreated:
		write(eventlog.ContainerCreated, container, r.Image, r.Reference)
		repeats(r.Image, r.Reference)
	case audit.ContainerRestarted:
		write(eventlog.ContainerRestarted, container, r.Reason, gmsa, r.Grant)
		repeats(r.Image, r.Reference)
	case audit.RedeemReleased:
		write(eventlog.RedeemReleased, container, gmsa, r.Secret, r.Version, r.Grant, peer.Image, pid, peer.User)
	case audit.RedeemRefused:
		if r.Grant != "" {
			write(eventlog.RedeemRefused, container, r.Reason, gmsa, r.Secret, r.Grant)
			repeats(r.Image, r.Reference, r.Secret)
			break
		}
		write(eventlog.RedeemStranger, r.Reason, peer.Image, pid, peer.User)
		repeats(peer.Image, peer.User)
	case audit.InstanceRemoved:
		write(eventlog.InstanceRemoved, container, r.Reason, peer.User)
	case audit.SpecStale:
		write(eventlog.SpecStale, r.Reference, r.Reason, container)
		repeats(r.Reference)
	case audit.SecretStale:
		write(eventlog.SecretStale, r.Secret, r.Reason, container)
		repeats(r.Secret)
	case audit.SecretForgotten:
		if strings.HasPrefix(r.Reason, agent.RejectedByDirectory) {
			write(eventlog.SecretRejected, r.Secret, r.Version, r.Reason)
			break
		}
		write(eventlog.SecretForgotten, r.Secret, r.Version, r.Reason, peer.User)
	}
	return e, ok
}
