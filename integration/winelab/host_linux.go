package winelab

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf16"
)

// Registry returns what is in HKEY_LOCAL_MACHINE: each value by its key and its
// name, as reg.exe exports it, and each key with an empty one.
func (l *Lab) Registry(ctx context.Context) (map[string]string, error) {
	file := l.LogPath("registry.reg")
	defer os.Remove(file) //nolint:errcheck // goes with the lab
	if err := l.run(l.Command(ctx, "reg.exe", "export", "HKLM", l.WindowsPath(file), "/y")); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	var key, name string
	lines := bufio.NewScanner(strings.NewReader(utf16Text(data)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		switch {
		case strings.HasPrefix(line, "["):
			key, name = strings.Trim(line, "[]"), ""
			all[key] = ""
		case strings.HasPrefix(line, "  ") && name != "": // the rest of a long value
			all[name] += strings.TrimSpace(line)
		case strings.HasPrefix(line, `"`), strings.HasPrefix(line, "@"):
			value := line
			name = key + `\`
			if at := strings.Index(line, `"=`); at > 0 {
				name, value = key+`\`+line[1:at], line[at+2:]
			}
			all[name] = value
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("reg export: nothing in %d bytes", len(data))
	}
	return all, lines.Err()
}

func utf16Text(data []byte) string {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = uint16(data[2*i]) | uint16(data[2*i+1])<<8
	}
	return strings.TrimPrefix(string(utf16.Decode(units)), "\ufeff")
}

// Files returns what is on drive C:, each file with a digest of its content and
// each folder without, by their paths with backslashes. Of Wine's own programs,
// which labs share and nobody writes to, it returns size and time.
func (l *Lab) Files() (map[string]string, error) {
	drive := filepath.Join(l.prefix, "drive_c")
	all := map[string]string{}
	err := filepath.WalkDir(drive, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(drive, path)
		if err != nil {
			return err
		}
		name := `C:\` + strings.ReplaceAll(rel, "/", `\`)
		if d.IsDir() {
			all[name] = ""
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 || !info.Mode().IsRegular() {
			all[name] = fmt.Sprint(info.Size(), info.Mode(), info.ModTime())
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // only read
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		all[name] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	return all, err
}
