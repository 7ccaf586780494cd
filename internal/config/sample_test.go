package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	sampleFile = "../../deploy/config.yaml"
	docsFile   = "../../docs/configuration.md"
)

// sample is the file as it is shipped, and with every setting taken out of its
// comment: prose has one blank after the "#", a setting none or more.
func sample(t *testing.T) (shipped, uncommented []byte) {
	t.Helper()
	shipped, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(shipped)) {
		rest, commented := strings.CutPrefix(line, "#")
		prose := strings.HasPrefix(rest, " ") && !strings.HasPrefix(rest, "  ") || strings.TrimSpace(rest) == ""
		if commented && !prose {
			line = rest
		}
		b.WriteString(line)
	}
	return shipped, []byte(b.String())
}

func TestSampleAsShippedChangesNothing(t *testing.T) {
	shipped, _ := sample(t)
	for _, p := range []platform{linux, windows} {
		c, err := p.parse(sampleFile, shipped)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p.defaults(), c, whatIsSaid); diff != "" {
			t.Errorf("%s: %s", p.goos, diff)
		}
	}
}

func TestSampleHasEveryKey(t *testing.T) {
	_, text := sample(t)
	c := windows.plain()
	d := &decoder{}
	d.decode(text, c)
	windows.complete(c)
	d.check(c)
	for _, p := range d.problems {
		t.Errorf("%s:%v", sampleFile, p)
	}
	present := make(map[string]bool)
	for key := range d.places {
		present[general(key)] = true
	}
	for _, key := range keys(reflect.TypeFor[Config](), "") {
		named := func(name string) bool { return present[strings.Replace(key, ".*", name, 1)] }
		if !present[key] && !named(".vault") && !named(".webapp01") { // names that general cannot tell from a key
			t.Errorf("%s does not show %s", sampleFile, key)
		}
	}
}

func TestSampleShowsTheDefaultsOfAWindowsHost(t *testing.T) {
	_, text := sample(t)
	c, err := windows.parse(sampleFile, text)
	if err != nil {
		t.Fatal(err)
	}
	want := windows.defaults()
	// These have no default: the sample shows examples.
	want.Secrets.Serve, want.Policy, want.Directory, want.Adopt = c.Secrets.Serve, c.Policy, c.Directory, c.Adopt
	want.CredentialSpecs.HTTPS, want.CredentialSpecs.OCI = c.CredentialSpecs.HTTPS, c.CredentialSpecs.OCI
	want.Secrets.Cache.Stores, want.Secrets.AzureKeyVault = c.Secrets.Cache.Stores, c.Secrets.AzureKeyVault
	want.Secrets.Kubernetes, want.Secrets.Vault, want.Secrets.GCPSecretManager = c.Secrets.Kubernetes, c.Secrets.Vault, c.Secrets.GCPSecretManager
	want.AWS, want.Kubernetes = c.AWS, c.Kubernetes
	want.Channels = c.Channels // the agent's channels have their own defaults
	want.Docker.Root, want.Docker.Gate, want.Docker.Specs = c.Docker.Root, c.Docker.Gate, c.Docker.Specs
	want.Containerd[0].Namespaces, want.Containerd[0].StateDir = []string{}, c.Containerd[0].StateDir
	if diff := cmp.Diff(want, c, whatIsSaid); diff != "" {
		t.Error(diff)
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	docs, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys(reflect.TypeFor[Config](), "") {
		if !strings.Contains(string(docs), "`"+key+"`") {
			t.Errorf("%s does not describe `%s`", docsFile, key)
		}
	}
}

// keys lists the keys of the file, as general writes them.
func keys(t reflect.Type, prefix string) []string {
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		name := fieldKey(f)
		if name == "" {
			continue
		}
		key := strings.TrimPrefix(prefix+"."+name, ".")
		all = append(all, key)
		elem := f.Type
		switch elem.Kind() {
		case reflect.Slice:
			elem, key = elem.Elem(), key+"[]"
		case reflect.Map:
			elem, key = elem.Elem(), key+".*"
		}
		if elem.Kind() == reflect.Struct {
			all = append(all, keys(elem, key)...)
		}
	}
	return all
}

// general replaces list positions by "[]" and the names of maps by "*".
func general(key string) string {
	var b strings.Builder
	for key != "" {
		open := strings.IndexByte(key, '[')
		if open < 0 {
			b.WriteString(key)
			break
		}
		end := open + strings.IndexByte(key[open:], ']')
		b.WriteString(key[:open])
		if key[open+1] == '"' {
			b.WriteString(".*")
		} else {
			b.WriteString("[]")
		}
		key = key[end+1:]
	}
	return b.String()
}
