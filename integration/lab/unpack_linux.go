package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Unpack makes sure that dest, a folder in the cache, has the files of Debian
// packages, once. The packages are not installed and their scripts do not run;
// what they depend on has to be named too. A name may end in /SUITE, for a
// package that is taken from another suite than the machine's base.
//
// The machine's own package lists are left alone: apt works with folders of its
// own, from the archive and with the key that the machine has for the suite
// base ("bookworm"), and checks signatures as always. It needs no root.
func Unpack(ctx context.Context, report Reporter, dest, base string, names ...string) error {
	return Once(ctx, dest, func(ctx context.Context, tmp string) (err error) {
		report("downloading %d packages", len(names))
		start := time.Now()
		dir, err := os.MkdirTemp("", "gmsa-agent-apt-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		apt, err := privateApt(dir, base, names)
		if err != nil {
			return err
		}
		if err := apt.run(ctx, "update"); err != nil {
			return err
		}
		if err := apt.run(ctx, append([]string{"download"}, names...)...); err != nil {
			return err
		}
		debs, err := filepath.Glob(filepath.Join(string(apt), "*.deb"))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(tmp, 0o700); err != nil {
			return err
		}
		for _, deb := range debs {
			if out, err := exec.CommandContext(ctx, "dpkg-deb", "--extract", deb, tmp).CombinedOutput(); err != nil {
				return fmt.Errorf("unpack %s: %w: %s", filepath.Base(deb), err, tail(out, 500))
			}
		}
		report("unpacked %d packages in %v", len(debs), time.Since(start).Round(time.Second))
		return nil
	})
}

// aptFolder is a folder with all that apt reads and writes.
type aptFolder string

func privateApt(dir, base string, names []string) (aptFolder, error) {
	uri, signedBy, err := archive("/etc/apt", base)
	if err != nil {
		return "", err
	}
	suites := []string{base}
	for _, name := range names {
		if _, suite, ok := strings.Cut(name, "/"); ok {
			suites = append(suites, suite)
		}
	}
	entry := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n", uri, strings.Join(suites, " "))
	if signedBy != "" {
		entry += "Signed-By: " + signedBy + "\n"
	}
	for _, folder := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return "", err
		}
	}
	for name, text := range map[string]string{
		"archive.sources": entry,
		"preferences":     fmt.Sprintf("Package: *\nPin: release n=%s\nPin-Priority: 900\n", base),
		"status":          "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return aptFolder(dir), nil
}

func (a aptFolder) run(ctx context.Context, args ...string) error {
	options := []string{"-q"}
	for _, o := range []string{
		"Dir::Etc::sourcelist=" + a.path("archive.sources"),
		"Dir::Etc::sourceparts=/dev/null",
		"Dir::Etc::preferences=" + a.path("preferences"),
		"Dir::Etc::preferencesparts=/dev/null",
		"Dir::State::lists=" + a.path("lists"),
		"Dir::State::status=" + a.path("status"),
		"Dir::Cache=" + a.path("cache"),
		"Acquire::Languages=none",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"APT::Sandbox::User=root", // the folder is this user's only
	} {
		options = append(options, "-o", o)
	}
	cmd := exec.CommandContext(ctx, "apt-get", append(options, args...)...)
	cmd.Dir = string(a)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, tail(out, 1000))
	}
	return nil
}

func (a aptFolder) path(name string) string { return filepath.Join(string(a), name) }
