package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// versionResource is what Windows shows under a file's Details, and what
// inventories read. Kinds, languages and flags are those of winver.h.
var versionResource = template.Must(template.New("version").Parse(`1 VERSIONINFO
FILEVERSION {{.Numbers}}
PRODUCTVERSION {{.Numbers}}
FILEFLAGSMASK 0x3fL
FILEFLAGS {{if .Prerelease}}0x2L{{else}}0x0L{{end}}
FILEOS 0x40004L
FILETYPE {{if .DLL}}0x2L{{else}}0x1L{{end}}
BEGIN
  BLOCK "StringFileInfo"
  BEGIN
    BLOCK "040904b0"
    BEGIN
      VALUE "CompanyName", "The gmsa-agent authors"
      VALUE "FileDescription", "{{.Description}}"
      VALUE "FileVersion", "{{.Version}}"
      VALUE "InternalName", "{{.Name}}"
      VALUE "LegalCopyright", "Apache License 2.0"
      VALUE "OriginalFilename", "{{.Name}}"
      VALUE "ProductName", "gmsa-agent"
      VALUE "ProductVersion", "{{.Version}}"
    END
  END
  BLOCK "VarFileInfo"
  BEGIN
    VALUE "Translation", 0x409, 1200
  END
END
`))

// semantic is a version as Go stamps it.
var semantic = regexp.MustCompile(`^v(\d{1,5})\.(\d{1,5})\.(\d{1,5})(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)

// resourceScript is the version resource of a program, for windres.
func resourceScript(p program, version string) (string, error) {
	m := semantic.FindStringSubmatch(version)
	if m == nil {
		return "", fmt.Errorf("version %q is no semantic version: tag the commit vMAJOR.MINOR.PATCH", version)
	}
	var text strings.Builder
	err := versionResource.Execute(&text, map[string]any{
		"Numbers":     strings.Join(append(m[1:4:4], "0"), ","),
		"Prerelease":  m[4] != "",
		"DLL":         p.dll,
		"Description": p.description,
		"Version":     version,
		"Name":        path.Base(p.file),
	})
	return text.String(), err
}

// addResources gives a program its version resource: an object file that Go
// links. A program can have one object with resources, so those that it has
// already go into the same.
func addResources(ctx context.Context, s *source, p program, version, tmp string) error {
	script, err := resourceScript(p, version)
	if err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(tmp, path.Base(p.file)+name) }
	if err := os.WriteFile(at(".rc"), []byte(script), 0o600); err != nil {
		return err
	}
	convert := func(from, to, in, out string) ([]byte, error) {
		if _, err := output(ctx, "", nil, windres, "-J", from, "-i", in, "-O", to, "-o", out); err != nil {
			return nil, err
		}
		return os.ReadFile(out)
	}
	all, err := convert("rc", "res", at(".rc"), at(".res"))
	if err != nil {
		return err
	}
	name := p.pkg + "/resources_windows_amd64.syso"
	for _, file := range s.tracked {
		if path.Dir(file) != p.pkg || !strings.HasSuffix(file, ".syso") {
			continue
		}
		had, err := convert("coff", "res", filepath.Join(s.dir, file), at(".had.res"))
		if err != nil {
			return err
		}
		// A file of resources is one after the other, behind an empty one.
		if all, err = joinResources(all, had); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		name = file
	}
	if err := os.WriteFile(at(".all.res"), all, 0o600); err != nil {
		return err
	}
	object, err := convert("res", "coff", at(".all.res"), at(".syso"))
	if err != nil {
		return err
	}
	return s.add(ctx, name, object)
}

// emptyResource begins a file of resources.
var emptyResource = append([]byte{0, 0, 0, 0, 0x20, 0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0}, make([]byte, 16)...)

func joinResources(a, b []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(b, emptyResource)
	if !ok {
		return nil, fmt.Errorf("%s made no file of resources of it", windres)
	}
	for len(a)%4 != 0 {
		a = append(a, 0)
	}
	return append(a, rest...), nil
}
