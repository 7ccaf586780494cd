package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// builder makes the packages of one commit.
type builder struct {
	report      reporter
	repository  string // default: the one of the working directory
	commit      string
	out         string
	cache       string // of Go's compiler; default: the user's
	targets     []target
	anyCompiler bool
}

// built is a program with what it is made of.
type built struct {
	program
	target  target
	content []byte
	info    *buildinfo.BuildInfo
}

// build writes the packages of every target, and their checksums. It gives the
// files' names.
func (b *builder) build(ctx context.Context) (made []string, err error) {
	if b.repository == "" {
		top, err := output(ctx, "", nil, "git", "rev-parse", "--show-toplevel")
		if err != nil {
			return nil, err
		}
		b.repository = top[:len(top)-1]
	}
	tmp, err := os.MkdirTemp("", "gmsa-agent-package-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	s, err := cloneSource(ctx, b.repository, b.commit, filepath.Join(tmp, "source"))
	if err != nil {
		return nil, err
	}
	b.report("packaging commit %s of %s", s.commit, s.time.Format("2006-01-02"))
	tc, err := b.toolchain(ctx, s)
	if err != nil {
		return nil, err
	}
	version, err := b.version(ctx, s, tmp)
	if err != nil {
		return nil, err
	}
	var packages []namedPackage
	for _, t := range b.targets {
		programs, err := b.programs(ctx, s, t, version, tmp)
		if err != nil {
			return nil, err
		}
		p, err := assemble(ctx, s, t, version, programs, tc)
		if err != nil {
			return nil, fmt.Errorf("package for %s: %w", t.goos, err)
		}
		packages = append(packages, p)
	}
	return b.write(packages)
}

func (b *builder) toolchain(ctx context.Context, s *source) (toolchain, error) {
	tc, err := findToolchain(ctx)
	if err != nil {
		return tc, err
	}
	golang, err := pinnedGo(ctx, s.dir)
	if err != nil {
		return tc, err
	}
	switch err := tc.differences(golang); {
	case err == nil:
		b.report("compilers as pinned: %s, gcc %s, binutils %s, mingw-w64 %s", tc.golang, tc.gcc, tc.binutils, tc.mingw)
	case b.anyCompiler:
		b.report("compilers not as pinned: %v", err)
	default:
		return tc, err
	}
	return tc, nil
}

// version is the commit's, as Go stamps it from its tag or time: what the
// smallest of the programs says.
func (b *builder) version(ctx context.Context, s *source, tmp string) (string, error) {
	smallest := target{goos: "linux"}
	p, err := b.compile(ctx, s, smallest, program{pkg: "cmd/containerd-shim-gmsa", file: "version"}, tmp)
	if err != nil {
		return "", err
	}
	version := p.info.Main.Version
	if !semantic.MatchString(version) {
		return "", fmt.Errorf("version %q: %w: a tag says vMAJOR.MINOR.PATCH", version, fault.ErrMalformed)
	}
	b.report("it is version %s", version)
	return version, nil
}

func (b *builder) programs(ctx context.Context, s *source, t target, version, tmp string) ([]built, error) {
	var programs []built
	for _, p := range t.programs {
		if t.goos == "windows" {
			if err := addResources(ctx, s, p, version, tmp); err != nil {
				return nil, fmt.Errorf("resources of %s: %w", p.file, err)
			}
		}
		b.report("building %s for %s", p.file, t.goos)
		out, err := b.compile(ctx, s, t, p, tmp)
		if err != nil {
			return nil, err
		}
		if err := out.check(s, version); err != nil {
			return nil, fmt.Errorf("%s: %w", p.file, err)
		}
		programs = append(programs, out)
	}
	return programs, nil
}

func (b *builder) compile(ctx context.Context, s *source, t target, p program, tmp string) (built, error) {
	env, err := buildEnvironment(ctx, t.goos, p.dll, b.cache)
	if err != nil {
		return built{}, err
	}
	// The linker makes a DLL's address and name of its file's name.
	file := filepath.Join(tmp, "out-"+t.goos, path.Base(p.file))
	args := []string{"build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w -buildid=", "-o", file}
	if p.dll {
		args = append(args, "-buildmode=c-shared")
	}
	if _, err := output(ctx, s.dir, env, "go", append(args, "./"+p.pkg)...); err != nil {
		return built{}, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return built{}, err
	}
	if t.goos == "windows" {
		if err := setChecksum(content); err != nil {
			return built{}, fmt.Errorf("%s: %w", p.file, err)
		}
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return built{}, fmt.Errorf("%s: what it is made of: %w", p.file, err)
	}
	return built{p, t, content, info}, nil
}

// check says what is wrong with a program.
func (p built) check(s *source, version string) error {
	var errs []error
	if p.info.Main.Version != version {
		errs = append(errs, fmt.Errorf("it is version %s, and others are %s", p.info.Main.Version, version))
	}
	for key, want := range map[string]string{"vcs.revision": s.commit, "vcs.modified": "false", "-trimpath": "true"} {
		i := slices.IndexFunc(p.info.Settings, func(set buildSetting) bool { return set.Key == key })
		if i < 0 || p.info.Settings[i].Value != want {
			errs = append(errs, fmt.Errorf("its build setting %s is not %s", key, want))
		}
	}
	if p.target.goos == "windows" {
		errs = append(errs, checkImage(p.content, p.dll))
	}
	return errors.Join(errs...)
}

// write puts the packages and a list of their checksums into the output folder.
func (b *builder) write(packages []namedPackage) ([]string, error) {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return nil, err
	}
	sums := make(map[string][]byte)
	for _, p := range packages {
		archive, err := p.archive()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.file, err)
		}
		sums[p.file] = archive
		sums[p.name+".cdx.json"] = p.files[sbomName].content
	}
	sums[sumsName] = sumsOf(sums)
	var made []string
	for name, content := range sums {
		file := filepath.Join(b.out, name)
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return nil, err
		}
		made = append(made, file)
	}
	slices.Sort(made)
	return made, nil
}
