package seed

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func key(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// file encrypts any content.
func file(t testing.TB, content string, to age.Recipient) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to)
	if err == nil {
		_, err = w.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	one, two := key(t), key(t)
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	i := 0
	for _, password := range secretstest.Passwords() {
		entries = append(entries, Entry{fmt.Sprintf("secret-%d", i), secretstest.New("contoso.com", "svc", password)})
		i++
	}
	for _, armored := range []bool{false, true} {
		var b bytes.Buffer
		if err := Write(&b, entries, armored, one.Recipient(), two.Recipient()); err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			// What is short stands in text that is as good as random by chance.
			if form := secretstest.Leaked(b.String(), e.Credential.Password.Bytes()); form != "" && len(e.Credential.Password.Bytes()) > 7 {
				t.Errorf("the file contains a password (%s)", form)
			}
		}
		for _, id := range []age.Identity{one, two} {
			got, err := Read(bytes.NewReader(b.Bytes()), key(t), id)
			if err != nil || len(got) != len(entries) {
				t.Fatalf("armored %v: %d entries, %v", armored, len(got), err)
			}
			for k, e := range got {
				want := entries[k]
				if e.Name != want.Name || e.Credential.Domain != "contoso.com" || e.Credential.User != "svc" || !e.Credential.Password.Equal(want.Credential.Password) {
					t.Errorf("armored %v: %s came back as another one", armored, want.Name)
				}
			}
			Wipe(got)
		}
	}
	var b bytes.Buffer
	if err := Write(&b, entries[:1], false, hybrid.Recipient()); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(&b, hybrid); err != nil {
		t.Errorf("with a post-quantum key: %v", err)
	}
}

func TestAFileForOthersIsDenied(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, nil, false, key(t).Recipient()); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(&b, key(t)); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("error %v, want fault.ErrDenied", err)
	}
}

func TestBadFilesAreRefusedWithoutTheirContent(t *testing.T) {
	const canary = "C4nary-7d1f"
	id := key(t)
	good := `{"format":"gmsa-agent secrets 1","secrets":[{"name":"a","domain":"contoso.com","user":"u","password":"` + canary + `"}]}`
	for what, content := range map[string]string{
		"empty":              "",
		"not JSON":           canary,
		"not an object":      `["` + canary + `"]`,
		"another format":     strings.Replace(good, "secrets 1", "secrets 2", 1),
		"no format":          `{"secrets":[]}`,
		"no secrets":         `{"format":"gmsa-agent secrets 1"}`,
		"secrets no list":    `{"format":"gmsa-agent secrets 1","secrets":{}}`,
		"a member too many":  strings.Replace(good, `"user"`, `"`+canary+`":1,"user"`, 1),
		"a member twice":     strings.Replace(good, `"user"`, `"user":"x","user"`, 1),
		"a member missing":   strings.Replace(good, `"user":"u",`, ``, 1),
		"a number":           strings.Replace(good, `"u"`, `1`, 1),
		"a climbing name":    strings.Replace(good, `"a"`, `"../`+canary+`"`, 1),
		"an empty password":  strings.Replace(good, canary, "", 1),
		"a password too big": strings.Replace(good, canary, strings.Repeat(canary, 100), 1),
		"a name twice":       strings.Replace(good, `[{`, `[{"name":"A","domain":"contoso.com","user":"u","password":"`+canary+`"},{`, 1),
		"half a surrogate":   strings.Replace(good, canary, `\ud800`+canary, 1),
	} {
		entries, err := Read(bytes.NewReader(file(t, content, id.Recipient())), id)
		if !errors.Is(err, fault.ErrMalformed) || entries != nil {
			t.Errorf("%s: %d entries, error %v, want fault.ErrMalformed", what, len(entries), err)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error repeats content: %v", what, err)
		}
	}
	whole := file(t, good, id.Recipient())
	for n := range whole {
		if _, err := Read(bytes.NewReader(whole[:n]), id); !errors.Is(err, fault.ErrMalformed) && !errors.Is(err, fault.ErrDenied) {
			t.Fatalf("cut to %d of %d bytes: error %v", n, len(whole), err)
		}
		changed := bytes.Clone(whole)
		changed[n] ^= 0x01
		if _, err := Read(bytes.NewReader(changed), id); err == nil {
			t.Fatalf("byte %d of %d changed: no error", n, len(whole))
		}
	}
	if _, err := Read(bytes.NewReader(file(t, strings.Repeat(" ", MaxSize), id.Recipient())), id); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("too long: error %v", err)
	}
}

func TestKeysAreReadWithoutBeingQuoted(t *testing.T) {
	id := key(t)
	if with, err := Identities([]byte("# a comment\n\n" + id.String() + "\n")); err != nil || len(with) != 1 {
		t.Errorf("%v, %v", with, err)
	}
	if to, err := Recipients([]byte("# a comment\n" + id.Recipient().String() + "\r\n")); err != nil || len(to) != 1 {
		t.Errorf("%v, %v", to, err)
	}
	last := "Q"
	if strings.HasSuffix(id.String(), last) {
		last = "P"
	}
	damaged := id.String()[:len(id.String())-1] + last
	if _, err := Identities([]byte(damaged)); !errors.Is(err, fault.ErrMalformed) || strings.Contains(err.Error(), damaged[20:30]) {
		t.Errorf("error %v", err)
	}
	if _, err := Recipients([]byte(id.String())); !errors.Is(err, fault.ErrMalformed) || strings.Contains(err.Error(), id.String()[20:30]) {
		t.Errorf("a private key for a public one: error %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode([]Entry{{"contoso", &secrets.Credential{Domain: "contoso.com", User: "u", Password: secrets.New([]byte("p\"\\\n"))}}}))
	f.Add([]byte(`{"format":"gmsa-agent secrets 1","secrets":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := decode(text)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) || entries != nil {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			return
		}
		again, err := decode(encode(entries))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("what was read does not read back: %v", err)
		}
		for i := range entries {
			if again[i].Name != entries[i].Name || !again[i].Credential.Password.Equal(entries[i].Credential.Password) {
				t.Fatalf("entry %d came back as another one", i)
			}
		}
	})
}
