package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// workflow is as much of GitHub's format as our workflows have. What it does not
// have is an error: a misspelt key does nothing, and says nothing.
type workflow struct {
	Name        string `yaml:"name"`
	On          any    `yaml:"on"`
	Permissions any    `yaml:"permissions"`
	Concurrency any    `yaml:"concurrency"`
	Jobs        map[string]struct {
		Needs       any               `yaml:"needs"`
		If          string            `yaml:"if"`
		RunsOn      string            `yaml:"runs-on"`
		Timeout     int               `yaml:"timeout-minutes"`
		Permissions map[string]string `yaml:"permissions"`
		Container   any               `yaml:"container"`
		Defaults    any               `yaml:"defaults"`
		Strategy    any               `yaml:"strategy"`
		Uses        string            `yaml:"uses"`
		With        map[string]any    `yaml:"with"`
		Steps       []struct {
			Name             string            `yaml:"name"`
			Uses             string            `yaml:"uses"`
			With             map[string]any    `yaml:"with"`
			Env              map[string]string `yaml:"env"`
			Run              string            `yaml:"run"`
			WorkingDirectory string            `yaml:"working-directory"`
		} `yaml:"steps"`
	} `yaml:"jobs"`
}

var (
	pinnedAction  = regexp.MustCompile(`^[a-z-]+/[a-z-]+@[0-9a-f]{40}$`)
	pinnedVersion = regexp.MustCompile(`^\s*(?:- )?uses: ([a-z-]+/[a-z-]+@[0-9a-f]{40}) # v\d+\.\d+\.\d+$`)
	makeTarget    = regexp.MustCompile(`\bmake ([a-z-]+)`)
	ownFile       = regexp.MustCompile(`(?:^|[\s"'])(?:\./)?((?:\.ci|integration|packaging|cmd|images|deploy|docs)/[\w./-]+)`)
	untrusted     = regexp.MustCompile(`\$\{\{`)
)

// checkWorkflow says what a workflow has wrong, beside what actionlint finds.
func checkWorkflow(text []byte, targets []string, exists func(string) bool) []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var w workflow
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&w); err != nil {
		return []error{err}
	}
	head, _, _ := strings.Cut(string(text), "\nname:")
	if !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(head, "#", "")), " "), "has not been run by us yet") {
		bad("its head does not say that it has not been run by us yet")
	}
	if p, ok := w.Permissions.(map[string]any); !ok || len(p) > 0 {
		bad("what its jobs may do by default is not nothing")
	}
	said := make(map[string]bool) // actions whose version stands beside their commit
	for line := range strings.Lines(string(text)) {
		if m := pinnedVersion.FindStringSubmatch(strings.TrimRight(line, "\r\n")); m != nil {
			said[m[1]] = true
		}
	}
	for name, job := range w.Jobs {
		if job.Permissions == nil {
			bad("job %s does not say what it may do", name)
		}
		if job.Uses == "" && job.Timeout == 0 {
			bad("job %s has no limit of time", name)
		}
		if job.Uses != "" && (!strings.HasPrefix(job.Uses, "./") || !exists(job.Uses)) {
			bad("job %s uses %s, which is not there", name, job.Uses)
		}
		for i, step := range job.Steps {
			at := fmt.Sprintf("job %s, step %d", name, i+1)
			if step.Uses != "" {
				if !pinnedAction.MatchString(step.Uses) || !said[step.Uses] {
					bad("%s: %s is not a commit with its version beside it", at, step.Uses)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					bad("%s: the checkout leaves its token in the work tree", at)
				}
			}
			// A ref's name, or what a pull request says, is whatever somebody typed.
			if untrusted.MatchString(step.Run) {
				bad("%s: an expression is put into a script: hand it over in env", at)
			}
			for _, m := range makeTarget.FindAllStringSubmatch(aptless(step.Run), -1) {
				if !slices.Contains(targets, m[1]) {
					bad("%s: the Makefile has no target %s", at, m[1])
				}
			}
			for _, m := range ownFile.FindAllStringSubmatch(step.Run, -1) {
				if !exists(m[1]) {
					bad("%s: %s is not there", at, m[1])
				}
			}
		}
	}
	return errs
}

// aptless leaves out where packages are installed, of which one is called make.
func aptless(script string) string {
	var lines []string
	for line := range strings.Lines(script) {
		if !strings.Contains(line, "apt-get") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// makeTargets are the Makefile's.
func makeTargets(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}

func inRepository(name string) bool {
	_, err := os.Stat(filepath.Join(moduleRoot, filepath.FromSlash(name)))
	return err == nil
}

func TestWorkflowsNameWhatIsThereAndMayDoNoMoreThanTheyMust(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(moduleRoot, ".github", "workflows", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are no workflows")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range checkWorkflow(text, makeTargets(t), inRepository) {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
	}
}

func TestAFlawOfAWorkflowIsFound(t *testing.T) {
	t.Parallel()
	const good = `# A sample that has not been run by
# us yet.
name: x
on: push
permissions: {}
jobs:
  a:
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@0123456789012345678901234567890123456789 # v1.2.3
        with:
          persist-credentials: false
      - run: apt-get install make git
      - run: make dist && bash .ci/run
`
	targets := []string{"dist"}
	if errs := checkWorkflow([]byte(good), targets, inRepository); errs != nil {
		t.Fatalf("the good one: %v", errs)
	}
	for _, test := range []struct{ old, new, says string }{
		{"timeout-minutes: 5", "timout-minutes: 5", "timout-minutes"},
		{"    timeout-minutes: 5\n", "", "no limit of time"},
		{"permissions: {}", "permissions: write-all", "is not nothing"},
		{"    permissions:\n      contents: read\n", "", "does not say what it may do"},
		{"@0123456789012345678901234567890123456789 # v1.2.3", "@v1 # v1.2.3", "is not a commit"},
		{" # v1.2.3", "", "with its version beside it"},
		{"persist-credentials: false", "persist-credentials: true", "leaves its token"},
		{"make dist ", "make dust ", "no target dust"},
		{".ci/run", ".ci/walk", ".ci/walk is not there"},
		{"bash .ci", "echo ${{ github.head_ref }} && bash .ci", "put into a script"},
		{"not been run by", "been run by", "does not say that it has not been run"},
	} {
		errs := fmt.Sprint(checkWorkflow([]byte(strings.Replace(good, test.old, test.new, 1)), targets, inRepository))
		if !strings.Contains(errs, test.says) {
			t.Errorf("%q for %q: got %s, want %q", test.new, test.old, errs, test.says)
		}
	}
}

// What the suite on Windows names must be what there is, since it does not run here.
func TestTheWindowsSuiteNamesWhatThereIs(t *testing.T) {
	t.Parallel()
	suite, err := os.ReadFile(filepath.Join(moduleRoot, "integration", "windows", "suite.ps1"))
	if err != nil {
		t.Fatal(err)
	}
	cli, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	trail, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "audit.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`\$agent @\('([a-z]+)'(?:, '([a-z]+)')?`).FindAllStringSubmatch(string(suite), -1)
	events := regexp.MustCompile(`(?:Get-Records|Wait-Record) '[a-z-]+' '([a-z.]+)'`).FindAllStringSubmatch(string(suite), -1)
	if len(commands) < 5 || len(events) < 4 {
		t.Fatalf("the suite has %d commands and %d events, fewer than it had", len(commands), len(events))
	}
	for _, m := range commands {
		if !regexp.MustCompile(`(?m)^## ` + strings.TrimSpace(m[1]+" "+m[2]) + `\b`).Match(cli) {
			t.Errorf("there is no command %s %s", m[1], m[2])
		}
	}
	for _, m := range events {
		if !bytes.Contains(trail, []byte("| `"+m[1]+"` |")) {
			t.Errorf("there is no event %s", m[1])
		}
	}
}
