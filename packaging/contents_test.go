package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageHasWhatItsTargetNames(t *testing.T) {
	t.Parallel()
	tracked := trackedFiles(t)
	for _, target := range targets {
		paths := target.paths(tracked)
		for _, want := range []string{
			"LICENSE", "README.md", "config.yaml", "docs/release.md", "docs/cli.md", "deploy/config.yaml",
			sumsName, sbomName, noticesName,
		} {
			if !slices.Contains(paths, want) {
				t.Errorf("the package for %s lacks %s", target.goos, want)
			}
		}
		for to := range target.files {
			if !strings.HasSuffix(to, "/") && !slices.Contains(paths, to) {
				t.Errorf("the package for %s lacks %s: the repository does not have it", target.goos, to)
			}
		}
		if slices.Sort(paths); len(slices.Compact(slices.Clone(paths))) != len(paths) {
			t.Errorf("the package for %s has a path twice: %v", target.goos, paths)
		}
	}
}

// install.ps1 refuses other names in the list of checksums.
func TestNamesInAPackageAreThoseThatTheInstallationTakes(t *testing.T) {
	t.Parallel()
	script := readScript(t, "install.ps1")
	m := regexp.MustCompile(`-match '(\^\(\[0-9a-f\]\{64\}\)  .*\$)'`).FindStringSubmatch(script)
	if m == nil {
		t.Fatal("install.ps1 has no pattern for lines of SHA256SUMS")
	}
	line := regexp.MustCompile(m[1])
	for _, target := range targets {
		for _, name := range target.paths(trackedFiles(t)) {
			if !line.MatchString(strings.Repeat("0", 64) + "  " + name) {
				t.Errorf("install.ps1 would take %s for damage", name)
			}
		}
	}
	for _, evil := range []string{`..\x`, "c:/x", "/x", "x/", "a b"} {
		if line.MatchString(strings.Repeat("0", 64) + "  " + evil) {
			t.Errorf("install.ps1 would take %q for a file's name", evil)
		}
	}
}

// The scripts cannot be run where these tests run. What they name must be there.
func TestTheScriptsNameWhatThePackageHas(t *testing.T) {
	t.Parallel()
	script := readScript(t, "install.ps1")
	list := regexp.MustCompile(`(?m)^\$programs = (.*)$`).FindStringSubmatch(script)
	if list == nil {
		t.Fatal("install.ps1 lists no programs")
	}
	var got []string
	for _, m := range regexp.MustCompile(`'([^']*)'`).FindAllStringSubmatch(list[1], -1) {
		got = append(got, m[1])
	}
	var want []string
	for _, target := range targets {
		for _, p := range target.programs {
			if target.goos == "windows" {
				want = append(want, p.file)
			}
		}
	}
	if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("install.ps1 checks %v, the package has %v", got, want)
	}
	for _, name := range []string{"install.ps1", "uninstall.ps1"} {
		script := readScript(t, name)
		for _, line := range []string{"Set-StrictMode -Version 3.0", "$ErrorActionPreference = 'Stop'"} {
			if !strings.Contains(script, line) {
				t.Errorf("%s lacks %s", name, line)
			}
		}
		// Windows PowerShell reads a file without a mark as of the system's code page.
		for i, r := range script {
			if r > 0x7e {
				t.Errorf("%s has %q at byte %d, which is not ASCII", name, r, i)
			}
		}
		for _, word := range []string{"http:", "https:", "Invoke-WebRequest", "Invoke-RestMethod", "DownloadFile", "Install-Module", "Start-BitsTransfer"} {
			if strings.Contains(strings.ToLower(script), strings.ToLower(word)) {
				t.Errorf("%s has %s: nothing may be downloaded", name, word)
			}
		}
	}
}

func readScript(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("windows", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

var markdownLink = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

// A host without a network has no other copy of a page. README, and pages that
// point into the sources, may name what only the repository has.
func TestLinksBetweenPackagedPagesLeadToPackagedFiles(t *testing.T) {
	t.Parallel()
	tracked := trackedFiles(t)
	for _, target := range targets {
		files := target.from(tracked)
		var folders []string
		for to := range files {
			folders = append(folders, path.Dir(to))
		}
		for to, from := range files {
			if path.Ext(to) != ".md" {
				continue
			}
			page, err := os.ReadFile(filepath.Join(moduleRoot, filepath.FromSlash(from)))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range markdownLink.FindAllStringSubmatch(string(page), -1) {
				if strings.Contains(m[1], ":") {
					continue
				}
				to := path.Join(path.Dir(to), m[1])
				_, packed := files[to]
				if packed || slices.Contains(folders, to) {
					continue
				}
				top, _, _ := strings.Cut(to, "/")
				if _, err := os.Stat(filepath.Join(moduleRoot, filepath.FromSlash(to))); err != nil || !slices.Contains(sourceFolders, top) {
					t.Errorf("%s links to %s, which its package does not have", from, m[1])
				}
			}
		}
	}
}

// sourceFolders are of interest to those who have the repository.
var sourceFolders = []string{"cmd", "integration", "internal", "packaging", "images", ".github", "hook", "hcs", "credspec", "secrets"}
