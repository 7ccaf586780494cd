package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A software bill of materials in CycloneDX 1.6, as far as there is something
// to say: the programs with their checksums, the modules and C parts that they
// are linked of, and which of them are in which.
//
// https://cyclonedx.org/docs/1.6/json/
type bom struct {
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Serial       string       `json:"serialNumber,omitempty"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Tools     tools     `json:"tools"`
	Component component `json:"component"`
}

type tools struct {
	Components []component `json:"components"`
}

type component struct {
	Type       string          `json:"type"`
	Ref        string          `json:"bom-ref,omitempty"`
	Name       string          `json:"name"`
	Version    string          `json:"version,omitempty"`
	Scope      string          `json:"scope,omitempty"`
	Hashes     []bomHash       `json:"hashes,omitempty"`
	Licences   []licenceChoice `json:"licenses,omitempty"`
	PURL       string          `json:"purl,omitempty"`
	Properties []property      `json:"properties,omitempty"`
}

type bomHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licenceChoice struct {
	License licenceID `json:"license"`
}

type licenceID struct {
	ID string `json:"id"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}

const standardLibrary = "pkg:golang/std"

func sbom(s *source, t target, version string, programs []built, modules []module, tc toolchain) ([]byte, error) {
	top := component{
		Type: "application", Ref: "gmsa-agent", Name: "gmsa-agent", Version: version,
		Licences: licenced("Apache-2.0"),
		PURL:     "pkg:golang/" + programs[0].info.Main.Path + "@" + version,
		Properties: []property{
			{"gmsa-agent:commit", s.commit},
			{"gmsa-agent:platform", t.goos + "/" + goarch},
		},
	}
	b := bom{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{
			Timestamp: s.time.Format(time.RFC3339),
			Component: top,
			Tools: tools{[]component{
				{Type: "application", Name: "go", Version: tc.golang},
			}},
		},
	}
	if t.hasDLL() {
		b.Metadata.Tools.Components = append(b.Metadata.Tools.Components,
			component{Type: "application", Name: mingw, Version: tc.gcc},
			component{Type: "application", Name: "binutils", Version: tc.binutils},
			component{Type: "application", Name: "mingw-w64", Version: tc.mingw})
	}
	all := dependency{Ref: top.Ref}
	sums := make(map[string]string) // of modules, as their program has them
	for _, p := range programs {
		ref := "file:" + p.file
		b.Components = append(b.Components, component{
			Type: "application", Ref: ref, Name: p.file, Version: version,
			Hashes: hashes(p.content), Licences: licenced("Apache-2.0"),
			Properties: []property{{"gmsa-agent:hash-of", "the file without a signature"}},
		})
		all.DependsOn = append(all.DependsOn, ref)
		uses := dependency{Ref: ref, DependsOn: []string{standardLibrary}}
		for _, dep := range p.info.Deps {
			uses.DependsOn = append(uses.DependsOn, purl(dep.Path, dep.Version))
			sums[dep.Path+"@"+dep.Version] = dep.Sum
		}
		if p.dll {
			for _, c := range tc.parts {
				uses.DependsOn = append(uses.DependsOn, c.ref())
			}
		}
		b.Dependencies = append(b.Dependencies, uses)
	}
	b.Dependencies = append([]dependency{all}, b.Dependencies...)
	b.Components = append(b.Components, component{
		Type: "library", Ref: standardLibrary, Name: "std", Version: strings.TrimPrefix(tc.golang, "go"), Scope: "required",
		Licences: licenced("BSD-3-Clause"), PURL: standardLibrary + "@" + strings.TrimPrefix(tc.golang, "go"),
	})
	for _, m := range modules {
		sum, linked := sums[m.path+"@"+m.version]
		if !linked {
			return nil, fmt.Errorf("no program says that it is linked of %s %s", m.path, m.version)
		}
		b.Components = append(b.Components, component{
			Type: "library", Ref: purl(m.path, m.version), Name: m.path, Version: m.version, Scope: "required",
			Licences: licenced(m.ids()...), PURL: purl(m.path, m.version),
			// What go.sum pins is no checksum of a file.
			Properties: []property{{"gmsa-agent:go.sum", sum}},
		})
	}
	if t.hasDLL() {
		for _, c := range tc.parts {
			v := tc.mingw
			if c.of == gccProject {
				v = tc.gcc
			}
			b.Components = append(b.Components, component{
				Type: "library", Ref: c.ref(), Name: c.of + "/" + c.file, Version: v, Scope: "required",
				Hashes: []bomHash{{"SHA-256", c.sha256}},
			})
		}
	}
	// A serial number is of one content: it is made of it.
	content, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	b.Serial = serial(content)
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}

func (p part) ref() string { return "c:" + p.of + "/" + p.file }

func hashes(content []byte) []bomHash {
	sum := sha256.Sum256(content)
	return []bomHash{{"SHA-256", hex.EncodeToString(sum[:])}}
}

func licenced(ids ...string) []licenceChoice {
	var choices []licenceChoice
	for _, id := range slices.Sorted(slices.Values(ids)) {
		choices = append(choices, licenceChoice{licenceID{id}})
	}
	return choices
}

// purl names a Go module as the package-url specification has it.
func purl(path, version string) string {
	return "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
}

// serial is a UUID of version 8: one whose bits are the maker's own.
func serial(content []byte) string {
	sum := sha256.Sum256(content)
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
