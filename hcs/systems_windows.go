package hcs

import (
	"errors"
	"fmt"

	"github.com/Microsoft/hcsshim"
	"github.com/Microsoft/hcsshim/osversion"
	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// NewSystems returns the compute systems of this host.
func NewSystems() *Systems { return &Systems{query: computeSystems} }

func computeSystems() ([]System, error) {
	found, err := hcsshim.GetContainers(hcsshim.ComputeSystemQuery{})
	if err != nil {
		return nil, explain(err)
	}
	systems := make([]System, 0, len(found))
	for _, c := range found {
		systems = append(systems, System{ID: c.ID, Type: c.SystemType, Owner: c.Owner, State: c.State})
	}
	return systems, nil
}

// explain gives HCS's error its kind.
func explain(err error) error {
	switch {
	case hcsshim.IsAccessIsDenied(err), errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%w: %w", err, fault.ErrDenied)
	case errors.Is(err, windows.ERROR_MOD_NOT_FOUND), errors.Is(err, windows.ERROR_PROC_NOT_FOUND), hcsshim.IsNotSupported(err):
		return fmt.Errorf("this Windows has no Host Compute Service (feature Containers): %w: %w", err, errors.ErrUnsupported)
	}
	return fmt.Errorf("%w: %w", err, fault.ErrUnavailable)
}

// Supported says why this host has no CCG plugins; nil if it has.
func Supported() error { return checkBuild(osversion.Build()) }
