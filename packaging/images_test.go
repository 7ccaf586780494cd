package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile, with its arguments as words.
type instruction struct {
	name string
	args []string
	text string
}

// readDockerfile reads what our Dockerfiles have of the format: comments,
// continued lines, and arguments in words or in JSON.
func readDockerfile(t *testing.T, file string) []instruction {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	instructions, err := parseDockerfile(string(content))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return instructions
}

func parseDockerfile(content string) ([]instruction, error) {
	var all []instruction
	var pending string
	for line := range strings.Lines(strings.ReplaceAll(content, "\r\n", "\n")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if before, more := strings.CutSuffix(line, `\`); more {
			pending += before + " "
			continue
		}
		line, pending = pending+line, ""
		name, text, _ := strings.Cut(line, " ")
		i := instruction{name: name, text: strings.TrimSpace(text)}
		if strings.HasPrefix(i.text, "[") {
			if err := json.Unmarshal([]byte(i.text), &i.args); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		} else {
			i.args = strings.Fields(i.text)
		}
		all = append(all, i)
	}
	if pending != "" {
		return nil, fmt.Errorf("the last line goes on: %q", pending)
	}
	return all, nil
}

// copied are the sources of COPY, below the build's context.
func copied(i instruction) ([]string, error) {
	if len(i.args) < 2 {
		return nil, fmt.Errorf("COPY %s copies nothing", i.text)
	}
	for _, a := range i.args {
		if strings.HasPrefix(a, "--") || strings.ContainsAny(a, `*?\`) {
			return nil, fmt.Errorf("COPY %s: %q is more than this test understands", i.text, a)
		}
	}
	return i.args[:len(i.args)-1], nil
}

// checkDockerfile says what an image's instructions have wrong, whose context
// has those files.
func checkDockerfile(instructions []instruction, allowed []string, context []string) []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	from := false
	for _, i := range instructions {
		if !slices.Contains(allowed, i.name) {
			bad("%s is not among %v", i.name, allowed)
		}
		switch i.name {
		case "FROM":
			from = true
			image := i.args[0]
			tag := image[strings.LastIndexByte(image, '/')+1:]
			if !strings.HasPrefix(image, "mcr.microsoft.com/") || !strings.Contains(tag, ":") || strings.HasSuffix(tag, ":latest") {
				bad("FROM %s is not one of Microsoft's with a version", image)
			}
		case "COPY":
			sources, err := copied(i)
			if err != nil {
				bad("%w", err)
			}
			for _, source := range sources {
				if !slices.Contains(context, path.Clean(source)) {
					bad("COPY %s: %s is not in the context", i.text, source)
				}
			}
		}
	}
	if !from {
		bad("there is no FROM")
	}
	return errs
}

func TestTheHostProcessImageCopiesWhatThePackageHas(t *testing.T) {
	t.Parallel()
	windows := windowsTarget(t, "cmd/gmsa-agent", "cmd/ccg-plugin", "cmd/containerd-shim-gmsa")
	instructions := readDockerfile(t, filepath.Join(moduleRoot, "images/hostprocess/Dockerfile"))
	// Nothing that would run a program of the image: it is built anywhere.
	allowed := []string{"FROM", "LABEL", "COPY", "ENV", "ENTRYPOINT", "CMD"}
	for _, err := range checkDockerfile(instructions, allowed, windows.paths(trackedFiles(t))) {
		t.Error(err)
	}
	var all []string
	for _, i := range instructions {
		if i.name == "COPY" {
			sources, _ := copied(i)
			all = append(all, sources...)
			// The service's installation wants the package's own layout.
			for _, source := range sources {
				if to := path.Join(i.args[len(i.args)-1], path.Base(source)); to != source {
					t.Errorf("%s becomes %s", source, to)
				}
			}
		}
	}
	for _, p := range windows.programs {
		if !slices.Contains(all, p.file) {
			t.Errorf("the image lacks %s", p.file)
		}
	}
	for _, name := range []string{sumsName, "LICENSE", noticesName} {
		if !slices.Contains(all, name) {
			t.Errorf("the image lacks %s", name)
		}
	}
}

func TestTheSampleImageCopiesWhatItsFolderHas(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(moduleRoot, "images", "sample")
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	allowed := []string{"ARG", "FROM", "SHELL", "RUN", "COPY", "EXPOSE"}
	for _, err := range checkDockerfile(readDockerfile(t, filepath.Join(folder, "Dockerfile")), allowed, names) {
		t.Error(err)
	}
}

// The check of the Dockerfiles finds what it is there for.
func TestAFlawOfADockerfileIsFound(t *testing.T) {
	t.Parallel()
	const base = "FROM mcr.microsoft.com/windows/nanoserver:ltsc2022\n"
	for text, says := range map[string]string{
		base + "COPY a missing.exe ./\n":                     "missing.exe is not in the context",
		base + "COPY a \\\n  missing.exe ./\n":               "missing.exe is not in the context",
		base + "COPY [\"a\", \"missing.exe\", \"./\"]\n":     "missing.exe is not in the context",
		base + "COPY --from=other a ./\n":                    "more than this test understands",
		base + "COPY a* ./\n":                                "more than this test understands",
		base + "ADD a ./\n":                                  "ADD is not among",
		"FROM mcr.microsoft.com/windows/nanoserver\n":        "with a version",
		"FROM mcr.microsoft.com/windows/nanoserver:latest\n": "with a version",
		"FROM example.com/nanoserver:1\n":                    "not one of Microsoft's",
		"COPY a ./\n":                                        "there is no FROM",
	} {
		instructions, err := parseDockerfile(text)
		if err != nil {
			t.Fatal(err)
		}
		errs := fmt.Sprint(checkDockerfile(instructions, []string{"FROM", "COPY"}, []string{"a"}))
		if !strings.Contains(errs, says) {
			t.Errorf("%q: got %s, want %q", text, errs, says)
		}
	}
}
