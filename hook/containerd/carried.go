package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Carried returns what stands where the shim reads a container's credential spec,
// and where that is: in its bundle, or before it has one in containerd's record.
// The text carries the grant's token. A container that is not there is
// [fault.ErrNotFound].
func (w *Watch) Carried(ctx context.Context, k hook.Key) (credentialSpec, place string, err error) {
	folder := w.bundleOf(k)
	file, err := bundle.Open(folder)
	switch {
	case err == nil:
		return file.CredentialSpec, filepath.Join(folder, bundle.FileName), nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", "", err
	}
	conn, err := w.dial(w.cfg.Address)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	container, err := newSession(w, conn).get(ctx, k)
	if err != nil {
		kind := fault.ErrUnavailable
		if status.Code(err) == codes.NotFound {
			kind = fault.ErrNotFound
		}
		return "", "", fmt.Errorf("%w: %w", err, kind)
	}
	facts, err := factsOf(k, container)
	return facts.CredentialSpec, "containerd's record", err
}

// bundleOf is where containerd keeps a container's bundle.
func (w *Watch) bundleOf(k hook.Key) string {
	return filepath.Join(w.cfg.StateDir, "io.containerd.runtime.v2.task", k.Namespace, k.ID)
}
