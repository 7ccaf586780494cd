//go:build !windows

package hcs

// NewSystems returns what says that there is no Host Compute Service here.
func NewSystems() *Systems { return &Systems{} }

// NewService returns what says that there is no Host Compute Service here.
func NewService() *Service { return &Service{} }

// Supported says why this host has no CCG plugins.
func Supported() error { return errNoHCS }
