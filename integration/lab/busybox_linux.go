package lab

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"runtime"
)

// Busybox is where the package busybox-static puts it.
const Busybox = "/bin/busybox"

// entry is one of an archive: a folder, a link or content.
type entry struct {
	name    string
	link    string
	content []byte
}

// tarball returns a tar archive of files. The same files give the same bytes.
func tarball(files []entry) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.content)), Typeflag: tar.TypeReg}
		switch {
		case f.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		case f.content == nil:
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

// BusyboxImage returns an image of a static busybox in the form that `docker
// save` writes. Its containers run until they are killed if they are given no
// command, and are stopped by being killed: a first process that has no handler
// for a signal does not get it.
func BusyboxImage(name string) ([]byte, error) {
	program, err := os.ReadFile(Busybox)
	if err != nil {
		return nil, err
	}
	files := []entry{{name: "bin/busybox", content: program}}
	for _, folder := range []string{"bin", "dev", "etc", "proc", "root", "sys", "tmp"} {
		files = append(files, entry{name: folder + "/"})
	}
	for _, applet := range []string{"sh", "sleep", "echo", "cat", "true", "false"} {
		files = append(files, entry{name: "bin/" + applet, link: "busybox"})
	}
	layer, err := tarball(files)
	if err != nil {
		return nil, err
	}
	config, err1 := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Cmd": []string{"/bin/sleep", "1000000"}, "Env": []string{"PATH=/bin"}, "StopSignal": "SIGKILL"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	manifest, err2 := json.Marshal([]any{map[string]any{
		"Config": digest(config) + ".json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"},
	}})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return tarball([]entry{
		{name: digest(config) + ".json", content: config},
		{name: "layer.tar", content: layer},
		{name: "manifest.json", content: manifest},
	})
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
