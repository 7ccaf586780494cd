package hcs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/Microsoft/hcsshim/osversion"
)

// System is a compute system of this host: a container or a utility VM.
type System struct {
	ID    string
	Type  string // "Container" or "VirtualMachine"
	Owner string // the program that made it: "containerd-shim-runhcs-v1.exe", "docker"
	State string // "Running", "Stopped", …
}

// Systems asks HCS what runs on this host.
type Systems struct {
	query func() ([]System, error) // nil where there is no HCS
}

// List returns all compute systems, sorted by ID.
//
// It asks HCS, which cannot be told to stop: when ctx ends first, List returns
// and the answer is dropped when it comes. Its error wraps fault.ErrDenied
// (who lists must be an administrator), fault.ErrUnavailable, ctx's error, or
// errors.ErrUnsupported where there is no HCS.
func (s *Systems) List(ctx context.Context) ([]System, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.query == nil {
		return nil, errNoHCS
	}
	type answer struct {
		systems []System
		err     error
	}
	answered := make(chan answer, 1)
	go func() {
		systems, err := s.query()
		answered <- answer{systems, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answered:
		if a.err != nil {
			return nil, fmt.Errorf("list compute systems: %w", a.err)
		}
		slices.SortFunc(a.systems, func(x, y System) int { return cmp.Compare(x.ID, y.ID) })
		return a.systems, nil
	}
}

var errNoHCS = fmt.Errorf("only Windows has a Host Compute Service: %w", errors.ErrUnsupported)

// MinBuild is the first build of Windows that has CCG plugins and schema 2.1's
// CCG instances: Windows Server 2019. Before it, a credential spec is of use
// only on hosts that are joined to the domain.
const MinBuild = osversion.RS5

// checkBuild says why a build of Windows has no CCG plugins.
func checkBuild(build uint16) error {
	if build < MinBuild {
		return fmt.Errorf("windows build %d has no Container Credential Guard plugins, build %d (Windows Server 2019) is the first: %w", build, MinBuild, errors.ErrUnsupported)
	}
	return nil
}
