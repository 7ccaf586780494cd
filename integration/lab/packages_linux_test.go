package lab

import (
	"os"
	"path/filepath"
	"testing"
)

func TestArchiveIsFoundInBothOfAptsFormats(t *testing.T) {
	tests := map[string]struct{ file, content string }{
		"deb822":   {"sources.list.d/debian.sources", "Types: deb\n# http://snapshot.example/x\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nSigned-By: /k.gpg\n\nTypes: deb\nURIs: http://sec.example\nSuites: bookworm-security\n"},
		"one-line": {"sources.list", "# comment\ndeb-src http://other.example bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			etc := t.TempDir()
			if err := os.MkdirAll(filepath.Join(etc, "sources.list.d"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(etc, tt.file), []byte(tt.content), 0o644); err != nil {
				t.Fatal(err)
			}
			uri, key, err := archive(etc, "bookworm")
			if err != nil || uri != "http://mirror.example/debian" || key != "/k.gpg" {
				t.Errorf("archive = %q, %q, %v", uri, key, err)
			}
			if _, _, err := archive(etc, "trixie"); err == nil {
				t.Error("archive found a suite that no source has")
			}
		})
	}
}
