//go:build !windows

package service

// busy is never: a file's name can be removed while the file is used.
func busy(error) bool { return false }

// removeLater has nothing to do where nothing is busy.
func removeLater(string) error { return nil }
