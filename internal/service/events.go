package service

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// EventSource is the registration of the event log's source.
func EventSource() Registration { return eventSource{} }

type eventSource struct{}

func (eventSource) Differences(program string) ([]string, error) {
	messages, problems, err := eventlog.Inspect()
	if err != nil {
		return nil, err
	}
	switch {
	case messages == "":
		return []string{"the event source " + eventlog.Source + " is not registered"}, nil
	case !strings.EqualFold(messages, program):
		return []string{fmt.Sprintf("the event source %s has its messages in %s, not in %s", eventlog.Source, messages, program)}, nil
	}
	return problems, nil
}

func (eventSource) Register(program string) error {
	_, err := eventlog.Install(program)
	return err
}

// Save keeps the file with the messages: everything else follows from it, as
// nobody else has a source of this name.
func (eventSource) Save() (json.RawMessage, error) {
	messages, _, err := eventlog.Inspect()
	if err != nil {
		return nil, err
	}
	return json.Marshal(messages)
}

func (s eventSource) Restore(saved json.RawMessage) error {
	var messages string
	if err := json.Unmarshal(saved, &messages); err != nil {
		return fmt.Errorf("saved event source: %w: %w", fault.ErrMalformed, err)
	}
	if messages == "" {
		return eventlog.Uninstall()
	}
	return s.Register(messages)
}
