package hcs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestListSortsWhatHCSAnswers(t *testing.T) {
	s := &Systems{query: func() ([]System, error) {
		return []System{{ID: "b", Type: "Container", Owner: "docker", State: "Running"}, {ID: "a"}}, nil
	}}
	got, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]System{{ID: "a"}, {ID: "b", Type: "Container", Owner: "docker", State: "Running"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestListKeepsTheErrorsKind(t *testing.T) {
	s := &Systems{query: func() ([]System, error) { return nil, fmt.Errorf("HCS says no: %w", fault.ErrDenied) }}
	if _, err := s.List(t.Context()); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "list compute systems: HCS says no") {
		t.Errorf("error %v", err)
	}
}

func TestListDoesNotWaitLongerThanItsContext(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	s := &Systems{query: func() ([]System, error) {
		close(asked)
		<-release
		return nil, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := s.List(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := s.List(ctx); !errors.Is(err, context.Canceled) { // asks nothing: asked would be closed twice
		t.Errorf("error %v", err)
	}
}

func TestPluginsNeedWindowsServer2019(t *testing.T) {
	if err := checkBuild(17763); err != nil {
		t.Error(err)
	}
	if err := checkBuild(14393); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "14393") {
		t.Errorf("error %v", err)
	}
}
