package containerdlab

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

// busybox is where busybox-static puts it.
const busybox = "/bin/busybox"

// file is an entry of an archive: a folder, a link or content.
type file struct {
	name    string
	link    string
	content []byte
}

// archive returns a tar archive of files. The same files give the same bytes.
func archive(files []file) ([]byte, error) {
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

// image returns the lab's image in the form that `docker save` writes.
func image() ([]byte, error) {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	files := []file{{name: "bin/busybox", content: program}}
	for _, folder := range []string{"bin", "dev", "etc", "proc", "root", "sys", "tmp"} {
		files = append(files, file{name: folder + "/"})
	}
	for _, applet := range []string{"sh", "sleep", "echo", "cat", "true"} {
		files = append(files, file{name: "bin/" + applet, link: "busybox"})
	}
	layer, err := archive(files)
	if err != nil {
		return nil, err
	}
	config, err1 := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Cmd": []string{"/bin/sleep", "1000000"}, "Env": []string{"PATH=/bin"}},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	manifest, err2 := json.Marshal([]any{map[string]any{
		"Config": digest(config) + ".json", "RepoTags": []string{Image}, "Layers": []string{"layer.tar"},
	}})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return archive([]file{
		{name: digest(config) + ".json", content: config},
		{name: "layer.tar", content: layer},
		{name: "manifest.json", content: manifest},
	})
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
