package lab

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// RemoveDead removes what labs left behind whose process was killed: folders in
// the system's folder for temporary files, and control groups. Their names begin
// with the prefix, which the process's number and a hyphen follow.
func RemoveDead(namePrefix string) {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), namePrefix+"*")) // the patterns are well formed
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + namePrefix + "*")
	roots, _ := filepath.Glob("/sys/fs/cgroup/" + namePrefix + "*")
	for _, path := range append(append(folders, groups...), roots...) {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), namePrefix), "-")
		if _, err := os.Stat(filepath.Join("/proc", pid)); pid == "" || err == nil {
			continue
		}
		if strings.HasPrefix(path, "/sys/") {
			removeGroup(path)
		} else {
			_ = os.RemoveAll(path) // or the next lab does
		}
	}
}

// RemoveGroups removes the control groups of a lab. runc makes them outside of
// a lab's namespaces, and a container that is killed with its lab leaves them
// empty. Version 1 has a folder for each controller, version 2 has one root.
func RemoveGroups(namespace string) {
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + namespace)
	for _, g := range append(groups, filepath.Join("/sys/fs/cgroup", namespace)) {
		removeGroup(g)
	}
}

// removeGroup removes a control group and those below it. Its files go with it.
func removeGroup(folder string) {
	below, _ := filepath.Glob(filepath.Join(folder, "*/"))
	for _, b := range below {
		removeGroup(b)
	}
	_ = unix.Rmdir(folder) // one that is in use stays, for the next lab to remove
}
