package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// source is a clone of the repository at the commit that is packaged. Nothing
// of a work tree gets into a package: no edit, no ignored file, no line ending.
type source struct {
	dir     string
	commit  string
	time    time.Time
	tracked []string // slash-separated
}

// cleanGit keeps a user's settings from what is checked out.
var cleanGit = []string{"-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.attributesFile=/dev/null", "-c", "core.hooksPath=/dev/null"}

// cloneSource makes the clone in dir. An empty revision is the work tree's
// HEAD, which must then be all that there is.
func cloneSource(ctx context.Context, repository, revision, dir string) (*source, error) {
	if revision == "" {
		changed, err := output(ctx, repository, nil, "git", "status", "--porcelain")
		if err != nil {
			return nil, err
		}
		if changed != "" {
			first, _, _ := strings.Cut(strings.TrimSpace(changed), "\n")
			return nil, fmt.Errorf("the work tree has changes that are in no commit (%s): commit them, or name what to package with -commit", first)
		}
		revision = "HEAD"
	}
	commit, err := output(ctx, repository, nil, "git", "rev-parse", "--verify", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return nil, err
	}
	s := &source{dir: dir, commit: strings.TrimSpace(commit)}
	for _, args := range [][]string{
		{"clone", "--quiet", "--no-checkout", "--template=", "--", repository, dir},
		{"-C", dir, "checkout", "--quiet", "--detach", s.commit},
	} {
		if _, err := output(ctx, "", nil, "git", append(cleanGit, args...)...); err != nil {
			return nil, err
		}
	}
	stamp, err := output(ctx, dir, nil, "git", "show", "--no-patch", "--format=%ct", s.commit)
	if err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(stamp), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the time of commit %s: %w", s.commit, err)
	}
	s.time = time.Unix(seconds, 0).UTC()
	files, err := output(ctx, dir, nil, "git", "ls-files", "-z")
	if err != nil {
		return nil, err
	}
	s.tracked = strings.Split(strings.TrimRight(files, "\x00"), "\x00")
	return s, nil
}

// add puts a file into the clone that is made for the build, in place of a
// tracked one or beside them, so that git and with it Go's version stamp see
// none of it.
func (s *source) add(ctx context.Context, name string, content []byte) error {
	if err := os.WriteFile(filepath.Join(s.dir, filepath.FromSlash(name)), content, 0o644); err != nil {
		return err
	}
	for _, tracked := range s.tracked {
		if tracked == name {
			_, err := output(ctx, s.dir, nil, "git", "update-index", "--assume-unchanged", "--", name)
			return err
		}
	}
	info := filepath.Join(s.dir, ".git", "info")
	if err := os.MkdirAll(info, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(info, "exclude"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "/%s\n", name); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// kept are the settings of Go and of the machine that say where things are got
// from and put, and that have no part in what is built.
var kept = []string{
	"PATH", "HOME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}

var keptGo = []string{
	"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOAUTH",
}

// buildEnvironment is all that a build sees of the environment. Whatever could
// be in the user's, a flag, a locale, a time zone, another file of Go settings,
// is set or left out here.
func buildEnvironment(ctx context.Context, goos string, cgo bool, cache string) ([]string, error) {
	text, err := output(ctx, "", nil, "go", append([]string{"env", "-json"}, keptGo...)...)
	if err != nil {
		return nil, err
	}
	settings := make(map[string]string)
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	if cache != "" {
		settings["GOCACHE"] = cache
	}
	env := []string{
		"LC_ALL=C", "TZ=UTC",
		"GOENV=off", "GOTOOLCHAIN=local", "GOWORK=off", "GO111MODULE=on", "GOFLAGS=-mod=readonly",
		"GOOS=" + goos, "GOARCH=" + goarch, "GOAMD64=v1",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
	}
	if cgo {
		env = append(env, "CGO_ENABLED=1", "CC="+mingw)
	} else {
		env = append(env, "CGO_ENABLED=0")
	}
	for _, name := range kept {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	for _, name := range keptGo {
		env = append(env, name+"="+settings[name])
	}
	return env, nil
}
