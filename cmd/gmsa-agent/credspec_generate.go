package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/gmsa-agent/gmsa-agent/credspec"
)

// generated is the answer of "credspec generate" in JSON.
type generated struct {
	File     string    `json:"file,omitempty"` // where it was written; absent if nowhere
	Digest   string    `json:"digest"`         // SHA-256, in hexadecimal
	Document string    `json:"document"`       // as text, so that the digest is that of its bytes
	Warnings []warning `json:"warnings"`
}

// warning is what is worth knowing about a document that was written all the same.
type warning struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// The formats that a credential spec is written in.
const (
	formatJSON       = "json"
	formatKubernetes = "kubernetes"
)

func (s *session) credspecGenerateCommand() *cli.Command {
	return &cli.Command{
		Name:  "generate",
		Usage: "write a credential spec from Active Directory",
		Description: "Asks the domain over LDAP for what a credential spec has to say, as any of its users, from\n" +
			"any host. Without a flag that says who asks, it is the plugin user of --secret, or whose\n" +
			"tickets are in the default credential cache. The document goes to standard output, or to a file.",
		Flags: append([]cli.Flag{
			outputFlag(),
			&cli.StringFlag{Name: "account", Usage: "the gMSA's `NAME` (required)"},
			&cli.StringSliceFlag{Name: "additional-account", Usage: "list another gMSA, `NAME` or NAME@DOMAIN; may be given several times"},
			&cli.StringFlag{Name: "domain", Usage: "the gMSA's domain, by its DNS `NAME`; without it the domain of who asks"},
			&cli.StringFlag{Name: "secret", Usage: "name this project's plugin, with the plugin user in the secret `REF`"},
			&cli.StringFlag{Name: "plugin-guid", Usage: "name the plugin with the CLSID `GUID`"},
			&cli.StringFlag{Name: "plugin-input", Usage: "tell that plugin `TEXT`"},
			&cli.StringFlag{Name: "plugin-input-file", Usage: "tell that plugin what is in `FILE`; - is standard input"},
			&cli.StringFlag{Name: "format", Value: formatJSON, Usage: "write `FORMAT`: json, or kubernetes for the manifest of a GMSACredentialSpec"},
			&cli.StringFlag{Name: "kube-name", Usage: "call the Kubernetes object `NAME`; without it NETBIOS-ACCOUNT"},
			&cli.StringFlag{Name: "file", Usage: "write to `PATH`; into a folder as NETBIOS_ACCOUNT.json"},
			&cli.StringFlag{Name: "name", Usage: "write to the first credential spec folder, for file://`NAME`.json"},
			&cli.BoolFlag{Name: "no-clobber", Usage: "leave a file alone that exists already, and fail"},
		}, loginFlags()...),
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0, ""); err != nil {
				return err
			}
			cfg, err := s.config(c)
			if err != nil {
				return err
			}
			to, err := destinationOf(c, cfg.CredentialSpecs.Folders)
			if err != nil {
				return err
			}
			g, err := s.generation(c, cfg)
			if err != nil {
				return err
			}
			defer g.close()
			doc, err := g.run(c.Context)
			if err != nil {
				return err
			}
			if err := to.write(doc, g); err != nil {
				return err
			}
			return s.answerGenerated(c, doc, to, g.warnings)
		},
	}
}

// destination is where a document goes.
type destination struct {
	path string // a file, or a folder; empty: standard output
	keep bool   // a file that is there stays
}

// destinationOf reads the flags, and fails before anybody is asked if the file must stay.
func destinationOf(c *cli.Context, folders []string) (*destination, error) {
	d := &destination{path: c.String("file"), keep: c.Bool("no-clobber")}
	name := c.String("name")
	switch {
	case d.path != "" && name != "":
		return nil, usagef("--file and --name both say where to write")
	case name != "" && c.String("format") != formatJSON:
		return nil, usagef("--name is for credential spec folders, which hold no manifests; use --file")
	case name != "":
		var err error
		if d.path, err = inFolder(folders, name); err != nil {
			return nil, err
		}
	case d.path == "-":
		d.path = ""
	}
	if d.path == "" && d.keep {
		return nil, usagef("--no-clobber is about a file: --file or --name is missing")
	}
	if d.keep && !isFolder(d.path) {
		return d, d.spare()
	}
	return d, nil
}

// inFolder is a file in the first of the folders that is there. The folders are
// not made here: who may write to them is for an administrator to decide.
func inFolder(folders []string, name string) (string, error) {
	if strings.ContainsAny(name, `/\:`) || strings.Trim(name, ".") == "" {
		return "", usagef("--name %q: is not the name of a file in a credential spec folder; --file takes paths", name)
	}
	if !strings.EqualFold(filepath.Ext(name), ".json") {
		name += ".json"
	}
	for _, folder := range folders {
		if isFolder(folder) {
			return filepath.Join(folder, name), nil
		}
	}
	return "", fmt.Errorf("none of the credential spec folders is there, make one: %s: %w", strings.Join(folders, ", "), fs.ErrNotExist)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir() || path != "" && os.IsPathSeparator(path[len(path)-1])
}

func (d *destination) spare() error {
	if _, err := os.Lstat(d.path); err == nil {
		return &fileExists{d.path}
	}
	return nil
}

func (d *destination) write(doc []byte, g *generation) error {
	if d.path == "" {
		return nil
	}
	if isFolder(d.path) {
		d.path = filepath.Join(d.path, g.defaultFile())
	}
	mode := fs.FileMode(0o644)
	if g.confidential() {
		mode = 0o600
	}
	return replaceFile(d.path, doc, mode, d.keep)
}

func (s *session) answerGenerated(c *cli.Context, doc []byte, to *destination, warnings []warning) error {
	if wantsJSON(c) {
		return writeJSON(s.stdout, generated{to.path, credspec.Digest(doc), string(doc), append([]warning{}, warnings...)})
	}
	for _, w := range warnings {
		fmt.Fprintf(s.stderr, "warning: %s\n", printable(w.Message))
		if w.Hint != "" {
			fmt.Fprintf(s.stderr, "hint: %s\n", printable(w.Hint))
		}
	}
	if to.path == "" {
		_, err := s.stdout.Write(doc)
		return err
	}
	_, err := fmt.Fprintf(s.stdout, "%s written\n", printable(to.path))
	return err
}
