//go:build unix

package bundle

import (
	"os"
	"syscall"
)

// openNow opens a file for reading without waiting for the other end of a pipe.
func openNow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// owner is who owns a file: with user namespaces, containerd gives a bundle's
// files to the container's root.
type owner struct{ uid, gid int }

func ownerOf(info os.FileInfo) owner {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{-1, -1}
	}
	return owner{int(stat.Uid), int(stat.Gid)}
}

func (o owner) give(f *os.File) error { return f.Chown(o.uid, o.gid) }
