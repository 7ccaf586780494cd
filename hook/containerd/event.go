package containerd

import (
	"fmt"

	"github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/protobuf/proto"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// The topics that the watch follows, the last being its own. No other says more:
// an update of a container cannot change a task that is there, and the deletion
// of a task does not always come.
const (
	topicCreate     = "/containers/create"
	topicDelete     = "/containers/delete"
	topicTaskCreate = "/tasks/create"
	topicKnock      = "/gmsa-agent/knock"
)

// filters select the topics, in containerd's filter language.
var filters = []string{
	`topic=="` + topicCreate + `"`,
	`topic=="` + topicDelete + `"`,
	`topic=="` + topicTaskCreate + `"`,
	`topic=="` + topicKnock + `"`,
}

type kind int

const (
	other kind = iota
	created
	started // a task was created; it is not running yet
	deleted
)

// An event is what the watch takes from one of containerd's.
type event struct {
	kind      kind
	container string
	bundle    string // of a task
}

// decode reads an event. It fails only for the topics that the watch follows.
func decode(envelope *types.Envelope) (event, error) {
	switch envelope.GetTopic() {
	case topicCreate:
		var e events.ContainerCreate
		err := into(envelope, &e)
		return event{created, e.GetID(), ""}, err
	case topicDelete:
		var e events.ContainerDelete
		err := into(envelope, &e)
		return event{deleted, e.GetID(), ""}, err
	case topicTaskCreate:
		var e events.TaskCreate
		err := into(envelope, &e)
		return event{started, e.GetContainerID(), e.GetBundle()}, err
	}
	return event{}, nil
}

// into decodes the event in envelope into e, if it is one of e's type and names
// a container.
func into(envelope *types.Envelope, e proto.Message) error {
	content := envelope.GetEvent()
	if got, want := content.MessageName(), proto.MessageName(e); got != want {
		return fmt.Errorf("%w: type %q, want %q", fault.ErrMalformed, got, want)
	}
	if err := proto.Unmarshal(content.GetValue(), e); err != nil {
		return fmt.Errorf("%w: %w", fault.ErrMalformed, err)
	}
	var id string
	switch e := e.(type) {
	case interface{ GetContainerID() string }:
		id = e.GetContainerID()
	case interface{ GetID() string }:
		id = e.GetID()
	}
	if id == "" || envelope.GetNamespace() == "" {
		return fmt.Errorf("%w: no container or no namespace", fault.ErrMalformed)
	}
	return nil
}
