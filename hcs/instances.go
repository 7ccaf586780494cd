package hcs

import (
	"context"
	"fmt"
)

// Instance is a CCG instance without what it holds.
type Instance struct {
	ID        string // by the agreement of runtimes the container's
	Transport ContainerCredentialGuardTransport
}

// Service makes HCS's calls about the CCG instances of this host.
type Service struct {
	properties func(query []byte) ([]byte, error) // nil where there is no HCS
	modify     func(request []byte) error
	calling    chan struct{} // holds a token while HCS has a call
}

func newService(properties func([]byte) ([]byte, error), modify func([]byte) error) *Service {
	return &Service{properties, modify, make(chan struct{}, 1)}
}

// List returns the CCG instances of all containers of this host.
//
// HCS answers with the cookie and the credential spec of each. They are not
// read, and the answer is overwritten when the names are out of it.
//
// HCS cannot be told to stop: when ctx ends first, List returns and the answer
// is dropped when it comes; until then every other call waits. The error wraps
// fault.ErrDenied, fault.ErrUnavailable, fault.ErrMalformed, ctx's error, or
// errors.ErrUnsupported where there is no HCS.
func (s *Service) List(ctx context.Context) ([]Instance, error) {
	if s.properties == nil {
		return nil, errNoHCS
	}
	list, err := call(ctx, s.calling, func() ([]Instance, error) {
		answer, err := s.properties(QueryInstances())
		if err != nil {
			return nil, err
		}
		defer clear(answer)
		return ParseInstanceList(answer)
	})
	if err != nil {
		return nil, fmt.Errorf("list CCG instances: %w", err)
	}
	return list, nil
}

// Remove removes the CCG instance of that ID. Its errors are List's, and
// fault.ErrNotFound if there is none.
func (s *Service) Remove(ctx context.Context, id string) error {
	if s.modify == nil {
		return errNoHCS
	}
	request, err := RemoveInstance(ContainerCredentialGuardRemoveInstanceRequest{Id: id})
	if err != nil {
		return err
	}
	_, err = call(ctx, s.calling, func() (struct{}, error) { return struct{}{}, s.modify(request) })
	if err != nil {
		return fmt.Errorf("remove CCG instance %q: %w", id, err)
	}
	return nil
}

// call makes one call at a time, and waits no longer than ctx.
func call[T any](ctx context.Context, calling chan struct{}, f func() (T, error)) (T, error) {
	var none T
	select {
	case calling <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		defer func() { <-calling }()
		value, err := f()
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// ParseInstanceList reads which instances there are, and nothing else, from
// HCS's answer to QueryInstances.
func ParseInstanceList(properties []byte) ([]Instance, error) {
	all, err := instances(properties)
	if err != nil {
		return nil, err
	}
	list := make([]Instance, 0, len(all))
	for _, n := range all {
		var i Instance
		if err := n.read(text{"Id", &i.ID}); err != nil {
			return nil, err
		}
		guard, err := n.object("CredentialGuard")
		if err != nil {
			return nil, err
		}
		if guard.Value != nil {
			var transport string
			if err := guard.read(text{"Transport", &transport}); err != nil {
				return nil, err
			}
			i.Transport = ContainerCredentialGuardTransport(transport)
		}
		list = append(list, i)
	}
	return list, nil
}
