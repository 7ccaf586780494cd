package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// runTwice makes the packages of a commit a second time as somebody else would,
// and compares.
func runTwice(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("twice", flag.ContinueOnError)
	warm := flags.Bool("warm", false, "take what is compiled already for the second time, too: faster, and blind for what compiling depends on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "gmsa-agent-twice-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	first := builder{report: newReporter(), commit: "HEAD", targets: targets, anyCompiler: true}
	return twice(ctx, first, *warm, tmp)
}

// twice makes the packages of HEAD as first does, and once more from a clone in
// another folder, in another environment, and unless it is told to be warm with
// nothing compiled before.
func twice(ctx context.Context, first builder, warm bool, tmp string) error {
	first.out = filepath.Join(tmp, "a")
	if _, err := first.build(ctx); err != nil {
		return err
	}
	first.report("and once more: from a clone elsewhere, with another umask, time zone, locale and compiler flags")
	second := first
	second.out = filepath.Join(tmp, "a longer name", "b")
	var err error
	if second.repository, err = elsewhere(ctx, tmp); err != nil {
		return err
	}
	if !warm {
		second.cache = filepath.Join(tmp, "cache")
	}
	restore, err := another(tmp)
	if err != nil {
		return err
	}
	_, err = second.build(ctx)
	if err := errors.Join(err, restore()); err != nil {
		return err
	}
	return compare(first.report, first.out, second.out)
}

// elsewhere is the repository in another folder, whose files are of another time.
func elsewhere(ctx context.Context, tmp string) (string, error) {
	top, err := output(ctx, "", nil, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return "", err
	}
	clone := filepath.Join(tmp, "some where", "else")
	if _, err := output(ctx, "", nil, "git", "clone", "--quiet", "--", top[:len(top)-1], clone); err != nil {
		return "", err
	}
	head, err := output(ctx, "", nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	if _, err := output(ctx, clone, nil, "git", "checkout", "--quiet", "--detach", head[:len(head)-1]); err != nil {
		return "", err
	}
	return clone, nil
}

// another changes what this process, and those that it starts, may leave in a
// file that nobody meant to.
func another(tmp string) (restore func() error, err error) {
	folder := filepath.Join(tmp, "another", "temporary", "folder")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	changes := map[string]string{
		"TMPDIR": folder, "TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8",
		"SOURCE_DATE_EPOCH": fmt.Sprint(time.Now().Unix()), "USER": "somebody", "LOGNAME": "somebody",
		"GOFLAGS": "-buildvcs=false", "CGO_CFLAGS": "-g3 -O0", "GOAMD64": "v3",
	}
	had := make(map[string]string)
	for name, value := range changes {
		if old, ok := os.LookupEnv(name); ok {
			had[name] = old
		}
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	oldMask := umask(0o077)
	return func() error {
		umask(oldMask)
		var errs []error
		for name := range changes {
			if old, ok := had[name]; ok {
				errs = append(errs, os.Setenv(name, old))
			} else {
				errs = append(errs, os.Unsetenv(name))
			}
		}
		return errors.Join(errs...)
	}, nil
}

// compare says which files of two folders differ, and in an archive which of its files.
func compare(report reporter, a, b string) error {
	inA, err := contentsOf(a)
	if err != nil {
		return err
	}
	inB, err := contentsOf(b)
	if err != nil {
		return err
	}
	var errs []error
	if x, y := slices.Sorted(maps.Keys(inA)), slices.Sorted(maps.Keys(inB)); !slices.Equal(x, y) {
		errs = append(errs, fmt.Errorf("one has the files %v, the other %v", x, y))
	}
	for _, name := range slices.Sorted(maps.Keys(inA)) {
		if bytes.Equal(inA[name], inB[name]) {
			report("equal: %s (%d bytes)", name, len(inA[name]))
			continue
		}
		errs = append(errs, fmt.Errorf("%s differs: %s", name, insideOf(filepath.Join(a, name), filepath.Join(b, name))))
	}
	return errors.Join(errs...)
}

func contentsOf(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	contents := make(map[string][]byte)
	for _, e := range entries {
		if contents[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return contents, nil
}

// insideOf names the files of two packages that differ.
func insideOf(a, b string) string {
	pa, errA := readPackage(a)
	pb, errB := readPackage(b)
	if err := errors.Join(errA, errB); err != nil {
		return "in its bytes"
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(pa.files)) {
		if x, y := pa.files[name].content, pb.files[name].content; !bytes.Equal(x, y) {
			names = append(names, fmt.Sprintf("%s at byte %d", name, firstDifference(x, y)))
		}
	}
	if names == nil {
		return "in the archive and not in its files"
	}
	return fmt.Sprint(names)
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
