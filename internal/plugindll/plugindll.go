// Package plugindll looks at the file of the CCG plugin: whether COM can load
// it, whether it is this project's and of which release, who may read it and
// who could exchange it.
//
// It reads the file and runs nothing of it: a Go program on Windows cannot load
// a DLL that is written in Go. It knows nothing of the registry, and parses
// what somebody else may have put there with the standard library's readers,
// on a file of bounded size.
package plugindll

import (
	"cmp"
	"debug/buildinfo"
	"debug/pe"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// Name is the file's name in a release.
const Name = "ccg-plugin.dll"

// maxSize is far more than the plugin's budget of 3 MiB; a larger file is not it.
const maxSize = 64 << 20

// mainPackage is what the plugin is built from.
const mainPackage = "github.com/gmsa-agent/gmsa-agent/cmd/ccg-plugin"

// Build says what a binary was made of. What it does not know is empty.
type Build struct {
	Version  string // of the module; "(devel)" outside of a release
	Commit   string
	Modified bool // the tree had changes that are in no commit
}

// BuildOf takes the words of Go's build information.
func BuildOf(info *debug.BuildInfo) Build {
	b := Build{Version: info.Main.Version}
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

func (b Build) String() string {
	s := cmp.Or(b.Version, "(unknown)")
	if b.Commit != "" {
		s += " (commit " + b.Commit
		if b.Modified {
			s += ", modified"
		}
		s += ")"
	}
	return s
}

// What Windows shows for a file that cannot be loaded.
const (
	notLoaded = "CCG event 4: failed to instantiate the plug-in; "
	notThere  = notLoaded + "The specified module could not be found (0x8007007E)"
	notPE     = notLoaded + "%1 is not a valid Win32 application (0x800700C1)"
	notCOM    = notLoaded + "The specified procedure could not be found (0x8007007F)"
	foreign   = "another DLL is asked for the credentials of containers, and is given their grant tokens"
	another   = "none while both speak the same version of the protocol; else CCG event 6: failed to fetch credentials from the plug-in; "
)

// Look reads the file at path. The differences are from a DLL that COM can load
// for CCG and that is of the same build as the agent; the error is one of the
// reading.
func Look(path string, agent Build) (b Build, found []ccgplugin.Difference, err error) {
	problem := func(severity ccgplugin.Severity, what, effect, remedy string) {
		found = append(found, ccgplugin.Difference{Severity: severity, Place: path, Problem: what, Effect: effect, Remedy: remedy})
	}
	const anew = "install this project's DLL there, or register another: gmsa-agent plugin register --dll PATH"
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		problem(ccgplugin.Broken, "there is no such file", notThere, anew)
		return b, found, nil
	case err != nil:
		return b, nil, err
	case !info.Mode().IsRegular():
		problem(ccgplugin.Broken, "is not a file", notPE, anew)
		return b, found, nil
	case info.Size() > maxSize:
		problem(ccgplugin.Broken, fmt.Sprintf("has %d bytes, and no release of the plugin has", info.Size()), foreign, anew)
		return b, found, nil
	}
	what, err := image(path)
	if err != nil {
		return b, nil, err
	}
	if what != "" {
		problem(ccgplugin.Broken, what, notPE, anew)
		return b, found, nil
	}
	switch made, err := buildinfo.ReadFile(path); {
	case err != nil:
		problem(ccgplugin.Broken, "is not this project's plugin: it says nothing of what it was built from", foreign+", or "+notCOM, anew)
	case made.Path != mainPackage:
		problem(ccgplugin.Broken, fmt.Sprintf("is not this project's plugin: it was built from %q", made.Path), foreign+", or "+notCOM, anew)
	default:
		if b = BuildOf(made); b.differs(agent) {
			problem(ccgplugin.Flawed, fmt.Sprintf("is of %s, and the agent of %s", b, agent), another+ccgplugin.EReleases.String(),
				"install both of the same release")
		}
	}
	if err := private.File(path); errors.Is(err, fault.ErrDenied) {
		problem(ccgplugin.Broken, err.Error(), "none that Windows shows: whoever exchanges it is given containers' grant tokens",
			`move it to a folder that only administrators can change, for example below %ProgramFiles%, and register it there`)
	} else if err != nil {
		return b, found, err
	}
	readable, err := servicesCanRead(path)
	if err != nil {
		return b, found, err
	}
	if !readable {
		problem(ccgplugin.Broken, "can be read by SYSTEM and administrators alone, if at all", notLoaded+"Access is denied (0x80070005), unless CCG runs as SYSTEM",
			fmt.Sprintf(`icacls "%s" /grant *S-1-5-32-545:RX`, path))
	}
	return b, found, nil
}

// differs says whether two builds are known to be different ones.
func (b Build) differs(other Build) bool {
	if b.Commit != "" && other.Commit != "" {
		return b.Commit != other.Commit
	}
	return b.Version != "" && other.Version != "" && b.Version != other.Version
}

// image says why Windows would not load a file as a DLL; empty if it would.
func image(path string) (problem string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	p, err := pe.NewFile(f)
	if err != nil {
		return "is no program of Windows", nil
	}
	defer p.Close()
	switch {
	case p.Machine != pe.IMAGE_FILE_MACHINE_AMD64:
		return fmt.Sprintf("is for another processor (%#x) than x64", p.Machine), nil
	case p.Characteristics&pe.IMAGE_FILE_DLL == 0:
		return "is a program and no DLL", nil
	}
	return "", nil
}
