package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

const dockerName = "docker"

// maxDockerList bounds Docker's answer, in bytes: it has a kilobyte for each
// container, and its labels.
const maxDockerList = 64 << 20

// dockerRuntime asks Docker's engine for its containers.
type dockerRuntime struct {
	address string
	dial    func(ctx context.Context, address string) (net.Conn, error)
	met     atomic.Bool // it has answered before
}

func (r *dockerRuntime) Name() string { return dockerName + " at " + r.address }

// Containers implements [hcs.Runtime]. An engine that has never answered, and of
// which there is no trace, is not installed.
func (r *dockerRuntime) Containers(ctx context.Context) ([]hcs.Container, error) {
	list, err := r.list(ctx)
	if err == nil {
		r.met.Store(true)
		return list, nil
	}
	if !r.met.Load() && len(tracesOf(dockerTraces)) == 0 {
		return nil, fmt.Errorf("no %s: %w", strings.Join(dockerTraces.names(), ", no "), hcs.ErrAbsent)
	}
	return nil, err
}

// list is GET /containers/json of the Engine API, whose unversioned paths every
// engine serves (https://docs.docker.com/reference/api/engine/).
func (r *dockerRuntime) list(ctx context.Context) ([]hcs.Container, error) {
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return r.dial(ctx, r.address) },
		DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/containers/json?all=1", http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, fault.ErrUnavailable)
	}
	defer answer.Body.Close() //nolint:errcheck // what matters was read
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s: %w", answer.Status, fault.ErrUnavailable)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxDockerList+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("its answer breaks off: %w: %w", err, fault.ErrUnavailable)
	case len(data) > maxDockerList:
		return nil, fmt.Errorf("its answer has more than %d bytes: %w", maxDockerList, fault.ErrMalformed)
	}
	var all []struct{ ID string }
	if err := json.Unmarshal(data, &all); err != nil || all == nil {
		return nil, fmt.Errorf("its answer is no list of containers: %w", fault.ErrMalformed)
	}
	list := make([]hcs.Container, 0, len(all))
	for i, c := range all {
		if c.ID == "" {
			return nil, fmt.Errorf("its answer has no id for container %d: %w", i, fault.ErrMalformed)
		}
		list = append(list, hcs.Container{ID: c.ID, Place: dockerName})
	}
	return list, nil
}
