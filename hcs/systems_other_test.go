//go:build !windows

package hcs

import (
	"errors"
	"testing"
)

func TestOnlyWindowsHasHCS(t *testing.T) {
	if _, err := NewSystems().List(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	if _, err := NewService().List(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	if err := NewService().Remove(t.Context(), "x"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	if err := Supported(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}
