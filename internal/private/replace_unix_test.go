//go:build !windows

package private

func replacesOpenFiles() bool { return true }
