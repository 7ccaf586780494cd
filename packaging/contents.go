package main

import (
	"path"
	"strings"
)

// program is one executable of a package.
type program struct {
	pkg  string // folder of its package in the repository
	file string // path in the package
	dll  bool
	// description is what Windows shows for the file.
	description string
}

// target is one platform that packages are made for.
type target struct {
	goos     string
	archive  string // the archive's ending
	programs []program
	// files are copied from the repository: where to, and where from.
	files map[string]string
}

const goarch = "amd64"

var targets = []target{
	{
		goos:    "linux",
		archive: ".tar.gz",
		programs: []program{
			{pkg: "cmd/gmsa-agent", file: "gmsa-agent"},
			{pkg: "cmd/containerd-shim-gmsa", file: "containerd-shim-gmsa"},
		},
		files: map[string]string{},
	},
	{
		goos:    "windows",
		archive: ".zip",
		programs: []program{
			{pkg: "cmd/gmsa-agent", file: "gmsa-agent.exe", description: "gMSA agent for Windows containers"},
			{pkg: "cmd/ccg-plugin", file: "ccg-plugin.dll", dll: true, description: "gmsa-agent's plugin for Container Credential Guard"},
			// containerd goes by the base name of a shim's file, so ours has the
			// real one's name and a folder of its own.
			{pkg: "cmd/containerd-shim-gmsa", file: "shim/containerd-shim-runhcs-v1.exe", description: "gmsa-agent's wrapper of the runhcs shim"},
		},
		files: map[string]string{
			"install.ps1":   "packaging/windows/install.ps1",
			"uninstall.ps1": "packaging/windows/uninstall.ps1",
			"images/":       "images/",
		},
	},
}

// everywhere is in every package. A name that ends in a slash takes what is
// below the folder.
var everywhere = map[string]string{
	"LICENSE":     "LICENSE",
	"README.md":   "README.md",
	"config.yaml": "deploy/config.yaml",
	"docs/":       "docs/",
	"deploy/":     "deploy/",
}

// Files of a package that are made for it.
const (
	sumsName    = "SHA256SUMS"
	sbomName    = "sbom.cdx.json"
	noticesName = "THIRD-PARTY-NOTICES.txt"
)

// from gives the package's path of each tracked file that belongs to it.
func (t target) from(tracked []string) map[string]string {
	files := make(map[string]string)
	for _, list := range []map[string]string{everywhere, t.files} {
		for to, from := range list {
			for _, file := range tracked {
				switch rest, below := strings.CutPrefix(file, from); {
				case file == from:
					files[to] = file
				case below && strings.HasSuffix(from, "/"):
					files[path.Join(to, rest)] = file
				}
			}
		}
	}
	return files
}

// paths are those of everything that a package of the target has.
func (t target) paths(tracked []string) []string {
	paths := []string{sumsName, sbomName, noticesName}
	for to := range t.from(tracked) {
		paths = append(paths, to)
	}
	for _, p := range t.programs {
		paths = append(paths, p.file)
	}
	return paths
}
