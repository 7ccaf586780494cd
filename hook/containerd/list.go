package containerd

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/containerd/api/services/containers/v1"

	"github.com/gmsa-agent/gmsa-agent/hook"
)

// Containers lists the containers of all namespaces, running or not. It asks
// over a connection of its own, so that what it says is what containerd knows
// now. If there is an error, the list is not the whole.
func (w *Watch) Containers(ctx context.Context) (keys []hook.Key, err error) {
	conn, err := w.dial(w.cfg.Address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	s := newSession(w, conn)
	all, err := s.listNamespaces(ctx)
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	for _, namespace := range all {
		err := s.eachContainer(ctx, namespace, func(c *containers.Container) {
			if c.GetID() != "" {
				keys = append(keys, hook.Key{Runtime: Runtime, Namespace: namespace, ID: c.GetID()})
			}
		})
		if err != nil {
			return keys, fmt.Errorf("list the containers of namespace %s: %w", namespace, err)
		}
	}
	return keys, nil
}

// Met says whether the watch has ever been connected.
func (w *Watch) Met() bool { return !w.Status().Since.IsZero() }
