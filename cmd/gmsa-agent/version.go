package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// build is what this executable is made of.
type build struct {
	Version  string `json:"version"`  // of the module; "(devel)" outside of a release
	Commit   string `json:"commit"`   // empty where the build did not know it
	Modified bool   `json:"modified"` // the tree had changes that are in no commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// stamped is the version of a build that is none of a tagged commit:
// -ldflags "-X main.stamped=1.2.3".
var stamped string

func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	b.Version = cmp.Or(stamped, b.Version)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = cmp.Or(stamped, info.Main.Version, b.Version)
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

func (s *session) versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print version, commit, Go version and platform",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			b := thisBuild()
			return s.answer(c, b, func(w io.Writer) error {
				commit := cmp.Or(b.Commit, "unknown")
				if b.Modified {
					commit += ", modified"
				}
				_, err := fmt.Fprintf(w, "%s %s (commit %s) %s %s\n", program, b.Version, commit, b.Go, b.Platform)
				return err
			})
		},
	}
}
