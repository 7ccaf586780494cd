package service

import (
	"context"
	"slices"
)

// Start starts what is installed, and returns when the agent answers.
func (h *Host) Start(ctx context.Context) error {
	r, err := h.installed()
	if err != nil {
		return err
	}
	if r.Current == nil {
		return ErrNotInstalled
	}
	for i, d := range r.Current.Services {
		if err := h.startAndWait(ctx, d, r.Current, i == 0); err != nil {
			return err
		}
	}
	return nil
}

// Stop stops what is installed, and returns when it has ended.
func (h *Host) Stop(ctx context.Context) error {
	r, err := h.installed()
	if err != nil {
		return err
	}
	if r.Current == nil {
		return ErrNotInstalled
	}
	for _, d := range slices.Backward(r.Current.Services) {
		if err := h.Manager.Stop(ctx, d.Name); err != nil {
			return err
		}
	}
	return nil
}
