package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Missing returns which of the Debian packages are not installed.
func Missing(names ...string) []string {
	out, err := exec.Command("dpkg-query", append([]string{"-W", "-f=${Package} ${db:Status-Status}\n"}, names...)...).Output()
	if err != nil && len(out) == 0 {
		return slices.Clone(names)
	}
	installed := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if name, status, _ := strings.Cut(strings.TrimSpace(line), " "); status == "installed" {
			installed[name] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return installed[n] })
}

// Packages installs what is missing of the named Debian packages. With a suite
// ("bookworm-backports") they come from that suite, through an entry that is
// derived from the sources that the machine already has: same archive, same
// key, pinned so low that nothing else is ever taken from it. Packages that
// are installed already are left alone, whatever suite they are from.
func Packages(ctx context.Context, report Reporter, suite string, names ...string) error {
	missing := Missing(names...)
	if len(missing) == 0 {
		return nil
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("packages %s are missing and only root can install them", strings.Join(missing, ", "))
	}
	unlock, err := lock(ctx, Cache("apt.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if missing = Missing(names...); len(missing) == 0 {
		return nil
	}
	install := []string{"install", "-y", "--no-install-recommends"}
	if suite != "" {
		if err := addSuite(suite); err != nil {
			return err
		}
		install = append(install, "-t", suite)
	}
	report("installing %s", strings.Join(missing, " "))
	if err := apt(ctx, "update"); err != nil {
		return err
	}
	allow, err := startNoServices()
	if err != nil {
		return err
	}
	return errors.Join(apt(ctx, append(install, missing...)...), allow())
}

// startNoServices keeps the packages from starting their services on this
// machine: the labs start servers of their own. A policy that the machine has
// already stays.
func startNoServices() (allow func() error, err error) {
	const policy = "/usr/sbin/policy-rc.d"
	f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	// 101 is "action forbidden by policy" (Debian's invoke-rc.d).
	_, err = f.WriteString("#!/bin/sh\n# gmsa-agent's labs are installing packages; this file goes when they are done.\nexit 101\n")
	allow = func() error { return os.Remove(policy) }
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, allow())
	}
	return allow, nil
}

func apt(ctx context.Context, args ...string) error {
	// The lock time-out lets another package manager on the machine finish.
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, tail(out, 1000))
	}
	return nil
}

// addSuite writes a sources entry and a preference for suite.
func addSuite(suite string) error {
	base, _, _ := strings.Cut(suite, "-")
	uri, signedBy, err := archive("/etc/apt", base)
	if err != nil {
		return err
	}
	entry := fmt.Sprintf("# Added by the gmsa-agent labs; remove at will.\nTypes: deb\nURIs: %s\nSuites: %s\nComponents: main\n", uri, suite)
	if signedBy != "" {
		entry += "Signed-By: " + signedBy + "\n"
	}
	// 100 is below the 500 of an ordinary suite: only an explicit -t takes packages from it.
	pin := fmt.Sprintf("Package: *\nPin: release n=%s\nPin-Priority: 100\n", suite)
	name := "gmsa-agent-lab-" + suite
	if err := os.WriteFile("/etc/apt/sources.list.d/"+name+".sources", []byte(entry), 0o644); err != nil {
		return err
	}
	return os.WriteFile("/etc/apt/preferences.d/"+name, []byte(pin), 0o644)
}

// archive finds where the machine gets the named suite from, in either of
// apt's two formats.
func archive(etc, suite string) (uri, signedBy string, err error) {
	files, err := filepath.Glob(filepath.Join(etc, "sources.list.d", "*.sources"))
	if err != nil {
		return "", "", err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", "", err
		}
		for _, stanza := range strings.Split(string(data), "\n\n") {
			f := stanzaFields(stanza)
			if slices.Contains(strings.Fields(f["suites"]), suite) && f["uris"] != "" {
				return strings.Fields(f["uris"])[0], f["signed-by"], nil
			}
		}
	}
	lists, err := filepath.Glob(filepath.Join(etc, "sources.list.d", "*.list"))
	if err != nil {
		return "", "", err
	}
	for _, file := range append([]string{filepath.Join(etc, "sources.list")}, lists...) {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		for line := range strings.Lines(string(data)) {
			uri, signedBy, ok := listLine(line, suite)
			if ok {
				return uri, signedBy, nil
			}
		}
	}
	return "", "", fmt.Errorf("no apt source on this machine has the suite %s", suite)
}

func stanzaFields(stanza string) map[string]string {
	fields := map[string]string{}
	sc := bufio.NewScanner(strings.NewReader(stanza))
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), "#") {
			continue
		}
		if k, v, ok := strings.Cut(sc.Text(), ":"); ok && !strings.HasPrefix(k, " ") {
			fields[strings.ToLower(k)] = strings.TrimSpace(v)
		}
	}
	return fields
}

// listLine reads "deb [signed-by=KEY other=x] URI SUITE COMPONENT...".
func listLine(line, suite string) (uri, signedBy string, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
	if !ok {
		return "", "", false
	}
	rest = strings.TrimSpace(rest)
	if opts, after, has := strings.Cut(rest, "]"); has && strings.HasPrefix(opts, "[") {
		for _, o := range strings.Fields(opts[1:]) {
			if v, is := strings.CutPrefix(o, "signed-by="); is {
				signedBy = v
			}
		}
		rest = after
	}
	f := strings.Fields(rest)
	if len(f) < 2 || f[1] != suite {
		return "", "", false
	}
	return f[0], signedBy, true
}

func tail(b []byte, n int) string {
	b = bytes.TrimSpace(b)
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return string(b)
}
