package secrets_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

const canary = "C4nary:pässwörd"

type exported struct{ S secrets.Secret }
type unexported struct{ s secrets.Secret }
type pointed struct{ s *secrets.Secret }
type deep struct {
	m map[string][]*unexported
	i any
	c *secrets.Credential
}
type failure struct{ s secrets.Secret }

func (f failure) Error() string { return fmt.Sprintf("failed with %v", f.s) }

// nests returns the secret alone and in all the places that a value can be in.
func nests() map[string]any {
	s := secrets.New([]byte(canary))
	c := secrets.Credential{Domain: "contoso.com", User: "svc", Password: s, Version: "1"}
	return map[string]any{
		"secret":                 s,
		"pointer":                &s,
		"credential":             c,
		"credential pointer":     &c,
		"exported field":         exported{s},
		"exported field pointer": &exported{s},
		"unexported field":       unexported{s},
		"unexported pointer":     &unexported{s},
		"pointer field":          pointed{&s},
		"pointer field pointer":  &pointed{&s},
		"slice":                  []secrets.Secret{s},
		"slice of pointers":      []*secrets.Secret{&s},
		"array":                  [1]secrets.Secret{s},
		"map":                    map[string]secrets.Secret{"k": s},
		"map of credentials":     map[string]*secrets.Credential{"k": &c},
		"deep":                   deep{m: map[string][]*unexported{"k": {{s}}}, i: unexported{s}, c: &c},
		"deep pointer":           &deep{m: map[string][]*unexported{"k": {{s}}}, i: &s, c: &c},
		"error":                  failure{s},
		"wrapped error":          fmt.Errorf("around: %w", failure{s}),
		"joined error":           errors.Join(failure{s}, &failure{s}),
		"reflect.Value":          reflect.ValueOf(unexported{s}),
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	var verbs []string
	for v := 'A'; v <= 'z'; v++ {
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "# ", "20.3", "[1]"} {
			verbs = append(verbs, "%"+flags+string(v))
		}
	}
	for what, v := range nests() {
		shown := map[string]string{}
		show := func(how, text string) { shown[how] = text }
		for _, verb := range verbs {
			show("fmt "+verb, fmt.Sprintf(verb, v))
			show("fmt.Errorf "+verb, fmt.Errorf(verb, v).Error())
		}
		show("fmt.Sprint", fmt.Sprint(v, v))
		show("fmt.Sprintln", fmt.Sprintln(v))
		for _, wrong := range []string{"%d %!", "", "%*d", "%[3]d"} {
			show("fmt with the wrong arguments for "+wrong, fmt.Sprintf(wrong, v, v))
		}

		for how, encode := range map[string]func(io.Writer) error{
			"json": func(w io.Writer) error { return json.NewEncoder(w).Encode(v) },
			"xml":  func(w io.Writer) error { return xml.NewEncoder(w).Encode(v) },
			"gob":  func(w io.Writer) error { return gob.NewEncoder(w).Encode(v) },
			"template": func(w io.Writer) error {
				return template.Must(template.New("").Parse("{{.}} {{printf `%x` .}}")).Execute(w, v)
			},
			"slog text": func(w io.Writer) error {
				slog.New(slog.NewTextHandler(w, nil)).Info("m", "k", v, slog.Group("g", "k", v))
				return nil
			},
			"slog json": func(w io.Writer) error {
				slog.New(slog.NewJSONHandler(w, nil)).With("k", v).Info("m", "k", v)
				return nil
			},
		} {
			var out bytes.Buffer
			err := encode(&out)
			show(how, out.String())
			show(how+"'s error", fmt.Sprint(err))
		}

		// To look through all of it at once takes a tenth of the time.
		if secretstest.Leaked(strings.Join(slices.Collect(maps.Values(shown)), "\n"), []byte(canary)) == "" {
			continue
		}
		for how, text := range shown {
			if form := secretstest.Leaked(text, []byte(canary)); form != "" {
				t.Errorf("%s: %s shows the content (%s)", what, how, form)
			}
		}
	}
}

func TestSecretSaysThatItIsRedacted(t *testing.T) {
	for _, s := range []secrets.Secret{secrets.New([]byte(canary)), secrets.New([]byte("x")), {}} {
		j, _ := json.Marshal(s)
		text, _ := s.MarshalText()
		for _, got := range []string{
			s.String(), s.GoString(), s.LogValue().String(), strings.Trim(string(j), `"`), string(text),
			fmt.Sprint(s), fmt.Sprintf("%x", s), fmt.Sprintf("%#v", &s), fmt.Sprintf("%300d", s),
		} {
			if got != "[redacted]" {
				t.Errorf("printed %q", got)
			}
		}
	}
}

func TestSecretIsNotReadFromText(t *testing.T) {
	var s secrets.Secret
	//lint:ignore SA9005 that it cannot be read is the point
	err := json.Unmarshal([]byte(`"`+canary+`"`), &s)
	if err == nil {
		t.Fatal("read")
	}
	if form := secretstest.Leaked(err.Error(), []byte(canary)); form != "" {
		t.Errorf("the error shows the content (%s)", form)
	}
}

func TestWipeOverwritesTheBytesForAllWhoShareThem(t *testing.T) {
	b := []byte(canary)
	s := secrets.New(b)
	shared, clone := s, s.Clone()
	shared.Wipe()
	if !bytes.Equal(b, make([]byte, len(b))) {
		t.Error("the bytes are still there")
	}
	if !s.IsZero() || s.Bytes() != nil {
		t.Error("the secret is not empty")
	}
	if string(clone.Bytes()) != canary {
		t.Error("the clone was wiped too")
	}
	s.Wipe()
	secrets.Secret{}.Wipe()
	(*secrets.Credential)(nil).Wipe()
}

func TestTheLastOfASecretAndItsClonesOverwritesTheBytes(t *testing.T) {
	s := secrets.New([]byte(canary))
	clones := []secrets.Secret{s.Clone(), s.Clone()}
	b := s.Bytes()
	for _, holder := range []secrets.Secret{clones[0], s} {
		holder.Wipe()
		holder.Wipe() // counts once
		if !holder.IsZero() || !holder.Clone().IsZero() || string(b) != canary {
			t.Fatalf("%v, %d bytes left", holder.IsZero(), len(bytes.Trim(b, "\x00")))
		}
	}
	clones[1].Wipe()
	if !bytes.Equal(b, make([]byte, len(b))) {
		t.Error("the bytes are still there")
	}
}

func TestEqualComparesContents(t *testing.T) {
	a := secrets.New([]byte("a"))
	for _, test := range []struct {
		o    secrets.Secret
		want bool
	}{
		{a, true}, {a.Clone(), true}, {secrets.New([]byte("b")), false}, {secrets.New([]byte("aa")), false}, {secrets.Secret{}, false},
	} {
		if got := a.Equal(test.o); got != test.want {
			t.Errorf("Equal = %v, want %v", got, test.want)
		}
	}
	if !(secrets.Secret{}).Equal(secrets.New(nil)) {
		t.Error("two empty secrets differ")
	}
	// go-cmp uses Equal, and says what differs.
	if diff := cmp.Diff(a, secrets.New([]byte(canary))); secretstest.Leaked(diff, []byte(canary)) != "" || diff == "" {
		t.Errorf("diff: %s", diff)
	}
}

func TestCloneOfCredentialIsIndependent(t *testing.T) {
	c := secretstest.New("contoso.com", "svc", canary)
	c.Version = "1"
	d := c.Clone()
	c.Wipe()
	if d.Domain != "contoso.com" || d.User != "svc" || d.Version != "1" || string(d.Password.Bytes()) != canary {
		t.Errorf("clone is %v", d)
	}
}

func TestCredentialServesItsDomainByTheNameOfItsKind(t *testing.T) {
	for _, test := range []struct {
		domain, dns, netbios string
		want                 bool
	}{
		{"Contoso.COM", "contoso.com", "CONTOSO", true},
		{"contoso.com.", "contoso.com", "", true},
		{"contoso.com", "contoso.com.", "", true},
		{"Contoso", "contoso.com", "CONTOSO", true},
		{"CONTOSO", "contoso.com", "", false},
		{"contoso.com", "corp.contoso.com", "CORP", false},
		// A document's author writes both names; one is not taken for the other.
		{"contoso.com", "evil.example", "contoso.com", false},
		{"CONTOSO", "CONTOSO", "EVIL", false},
		{"", "", "", false},
	} {
		c := secretstest.New(test.domain, "svc", "x")
		if got := c.Serves(test.dns, test.netbios); got != test.want {
			t.Errorf("%q: Serves(%q, %q) = %v", test.domain, test.dns, test.netbios, got)
		}
	}
}
