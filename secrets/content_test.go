package secrets_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

func wantCredential(t *testing.T, what string, c *secrets.Credential, err error, domain, user, password string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	if c.Domain != domain || c.User != user || string(c.Password.Bytes()) != password {
		t.Errorf("%s: got %q \\ %q : %q, want %q \\ %q : %q", what, c.Domain, c.User, c.Password.Bytes(), domain, user, password)
	}
}

func TestParseContentReadsEveryForm(t *testing.T) {
	for in, want := range map[string][3]string{
		`contoso\svc:Passw0rd!`:        {"contoso", "svc", "Passw0rd!"},
		`contoso.com\svc:a:b\c"d`:      {"contoso.com", "svc", `a:b\c"d`},
		"contoso\\svc:  blanks \r\n":   {"contoso", "svc", "  blanks \r\n"},
		"\ufeffcontoso\\svc:x":         {"contoso", "svc", "x"},
		"contoso\\svc:\ufeffx":         {"contoso", "svc", "\ufeffx"},
		`contoso\svc user:x`:           {"contoso", "svc user", "x"},
		`contoso\svc@corp.com:x`:       {"contoso", "svc@corp.com", "x"},
		`contoso\svc:{"password":"x"}`: {"contoso", "svc", `{"password":"x"}`},
		"svc@contoso.com:x":            {"contoso.com", "svc", "x"},
		`svc@contoso.com:a\b:c`:        {"contoso.com", "svc", `a\b:c`},
		"a@b@contoso.com:x":            {"contoso.com", "a@b", "x"},
		`{"username":"svc","password":"x","domainName":"contoso.com"}`:                                                                        {"contoso.com", "svc", "x"},
		` {"UserName":"svc","PASSWORD":"x","DomainName":"c.com","more":{"a":["}",{"b":"\""}]}} `:                                              {"c.com", "svc", "x"},
		"\ufeff{\"username\":\"svc\",\"password\":\"x\",\"domainName\":\"contoso\"}\r\n":                                                      {"contoso", "svc", "x"},
		`{"usernameOfStandardUserAccount":"svc","passwordOfStandardUserAccount":"x","domainName":"contoso","distinguishedNameOfgMSA":"CN=x"}`: {"contoso", "svc", "x"},
		`{"username":"","usernameOfStandardUserAccount":"svc","password":null,"passwordOfStandardUserAccount":"x","domainName":"contoso"}`:    {"contoso", "svc", "x"},
		`{"username":"svc","usernameOfStandardUserAccount":"svc","password":"x","domainName":"contoso"}`:                                      {"contoso", "svc", "x"},
		`{"username":"svc@contoso.com","password":"x"}`:                                                                                       {"contoso.com", "svc", "x"},
		`{"username":"CONTOSO\\svc","password":"x"}`:                                                                                          {"CONTOSO", "svc", "x"},
		`{"username":"svc@corp","password":"x","domainName":"contoso"}`:                                                                       {"contoso", "svc@corp", "x"},
		`{"username":"svc","password":"\ud83d\udd11\u00e4\/\b\f\n\r\t\"\\","domainName":"contoso"}`:                                           {"contoso", "svc", "🔑ä/\b\f\n\r\t\"\\"},
		`{"user\u006eame":"svc","password":" \n","domainName":"contoso","n":-1.5e3,"b":true}`:                                                 {"contoso", "svc", " \n"},
	} {
		b := []byte(in)
		c, err := secrets.ParseContent(b)
		wantCredential(t, in, c, err, want[0], want[1], want[2])
		clear(b)
		if err == nil && string(c.Password.Bytes()) != want[2] {
			t.Errorf("%s: the password shares the caller's bytes", in)
		}
	}
}

func TestEveryFormDeliversEveryPasswordUnchanged(t *testing.T) {
	for what, password := range secretstest.Passwords() {
		c, err := secrets.ParseContent([]byte(`contoso.com\svc:` + password))
		wantCredential(t, what+" as text", c, err, "contoso.com", "svc", password)

		c, err = secrets.ParseContent([]byte("svc@contoso.com:" + password))
		wantCredential(t, what+" as text with a user principal name", c, err, "contoso.com", "svc", password)

		j, _ := json.Marshal(map[string]string{"username": "svc", "password": password, "domainName": "contoso.com"})
		c, err = secrets.ParseContent(j)
		wantCredential(t, what+" as JSON", c, err, "contoso.com", "svc", password)

		c, err = secrets.ParseContent(asciiJSON(j))
		wantCredential(t, what+" as JSON in ASCII", c, err, "contoso.com", "svc", password)

		keys := map[string][]byte{"username": []byte("svc"), "password": []byte(password), "domainName": []byte("contoso.com")}
		c, err = secrets.ParseKeys(keys)
		wantCredential(t, what+" under keys", c, err, "contoso.com", "svc", password)
		clear(keys["password"])
		if string(c.Password.Bytes()) != password {
			t.Errorf("%s: the password shares the caller's bytes", what)
		}
	}
}

func TestNoFormMakesAPasswordOfAnImpossibleOne(t *testing.T) {
	for what, password := range secretstest.Impossible() {
		j, _ := json.Marshal(map[string]string{"username": "svc", "password": password, "domainName": "contoso.com"})
		for form, content := range map[string][]byte{
			"text":                            []byte(`contoso.com\svc:` + password),
			"text with a user principal name": []byte("svc@contoso.com:" + password),
			"JSON":                            j,
			"JSON in ASCII":                   asciiJSON(j),
		} {
			if c, err := secrets.ParseContent(content); !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("%s as %s: got %v, %v, want fault.ErrMalformed", what, form, c, err)
			}
		}
		keys := map[string][]byte{"username": []byte("svc"), "password": []byte(password), "domainName": []byte("contoso.com")}
		if c, err := secrets.ParseKeys(keys); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%s under keys: got %v, %v, want fault.ErrMalformed", what, c, err)
		}
	}
}

func TestEveryFormDeliversEveryAccountUnchanged(t *testing.T) {
	for what, a := range secretstest.Accounts() {
		c, err := secrets.ParseContent([]byte(a.Domain + `\` + a.User + `:x:y`))
		wantCredential(t, what+" as text", c, err, a.Domain, a.User, "x:y")

		j, _ := json.Marshal(map[string]string{"username": a.User, "password": "x", "domainName": a.Domain})
		c, err = secrets.ParseContent(j)
		wantCredential(t, what+" as JSON", c, err, a.Domain, a.User, "x")

		c, err = secrets.ParseContent(asciiJSON(j))
		wantCredential(t, what+" as JSON in ASCII", c, err, a.Domain, a.User, "x")

		c, err = secrets.ParseKeys(map[string][]byte{"username": []byte(a.User), "password": []byte("x"), "domainName": []byte(a.Domain)})
		wantCredential(t, what+" under keys", c, err, a.Domain, a.User, "x")
	}
}

// asciiJSON escapes as .NET's and Python's encoders do.
func asciiJSON(b []byte) []byte {
	var out []byte
	for _, r := range string(b) {
		switch {
		case r < utf8.RuneSelf:
			out = append(out, byte(r))
		case r > 0xffff:
			out = fmt.Appendf(out, `\u%04x\u%04X`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

func TestParseJSONReadsObjectsAndTexts(t *testing.T) {
	for what, password := range secretstest.Passwords() {
		object, _ := json.Marshal(map[string]string{"username": "svc", "password": password, "domainName": "contoso.com"})
		text, _ := json.Marshal(`contoso.com\svc:` + password)
		within, _ := json.Marshal(string(object))
		for form, b := range map[string][]byte{"object": object, "text": text, "object within a text": within, "ASCII": asciiJSON(text)} {
			c, err := secrets.ParseJSON(b)
			wantCredential(t, what+" as "+form, c, err, "contoso.com", "svc", password)
			clear(b)
			if err == nil && string(c.Password.Bytes()) != password {
				t.Errorf("%s as %s: the password shares the caller's bytes", what, form)
			}
		}
	}
}

func TestParseJSONRefusesWithoutQuoting(t *testing.T) {
	for in, cause := range map[string]string{
		"":                                "not valid JSON",
		`"contoso\\svc:C4nary`:            "not valid JSON",
		`contoso\svc:C4nary`:              "not valid JSON",
		`["C4nary"]`:                      "neither an object nor a text",
		`null`:                            "neither an object nor a text",
		`"C4nary"`:                        "neither",
		`"contoso\\svc:C4nary\ud83d"`:     "half a surrogate pair",
		`{"username":1}`:                  "not a text",
		`"` + strings.Repeat("x", 400000): "longer",
	} {
		_, err := secrets.ParseJSON([]byte(in))
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), cause) || strings.Contains(err.Error(), "C4nary") {
			t.Errorf("%.40s: %v, want %q", in, err, cause)
		}
	}
}

func TestParseContentRefusesWithoutQuoting(t *testing.T) {
	long := strings.Repeat("C4nary", 200)
	for in, cause := range map[string]string{
		"":                           "empty",
		" \r\n":                      "empty",
		"\ufeff":                     "empty",
		"C4nary":                     "neither",
		"svc:C4nary":                 "neither",
		`svc:C4\nary`:                "neither",
		"@contoso.com:C4nary":        "user is empty",
		"svc@:C4nary":                "domain is empty",
		`contoso\C4nary`:             `no ":"`,
		`\svc:C4nary`:                "domain is empty",
		`contoso\:C4nary`:            "user is empty",
		`contoso\ :C4nary`:           "user is empty",
		`contoso\svc:`:               "password is empty",
		` contoso\svc:C4nary`:        "domain contains",
		"contoso\n\\svc:C4nary":      "domain ends in a line end",
		"contoso\\svc\r\n:C4nary":    "user ends in a line end",
		"contoso\\s\x00vc:C4nary":    "cannot be seen",
		"contoso\\s\u200bvc:x":       "cannot be seen",
		`contoso/C4\svc:x`:           "no domain has",
		`contoso\a\C4:x`:             "no user has",
		`contoso\svc:C4` + "\x00ary": "NUL",
		"contoso\\svc:C4\xffary":     "not UTF-8",
		"\xff\xfec\x00o\x00":         "UTF-16",
		`contoso\svc:` + long:        "longer than 768",
		strings.Repeat("C4", 40000):  "longer than 65536",
		`contoso\` + long + ":x":     "user is longer",
		long + `\svc:x`:              "domain is longer",
		`{"username":"C4nary"`:       "not valid JSON",
		`{"username":"svc"} C4nary`:  "not valid JSON",
		`{}`:                         "without username and password",
		`{"password":"C4nary"}`:      "without username",
		`{"username":"svc","domainName":"contoso"}`:                                                          "without password",
		`{"username":"svc","password":"C4nary"}`:                                                             "without domainName",
		`{"username":"svc","password":"","domainName":"contoso"}`:                                            "without password",
		`{"username":"svc","password":4,"domainName":"C4"}`:                                                  `value of "password" is not a text`,
		`{"username":"svc","password":{"a":"C4nary"},"domainName":"contoso"}`:                                `value of "password" is not a text`,
		`{"username":"svc","password":"C4nary","password":"C4","domainName":"contoso"}`:                      "two keys",
		`{"username":"svc","password":"C4nary","passwordOfStandardUserAccount":"C4","domainName":"contoso"}`: "two keys",
		`{"username":"svc","password":"C4\ud800","domainName":"contoso"}`:                                    "surrogate",
		`{"username":"svc","password":"C4\udc00\ud800","domainName":"contoso"}`:                              "surrogate",
		`{"username":"svc","password":"C4\ud800\u0041","domainName":"contoso"}`:                              "surrogate",
		`{"username":"svc","password":"C4\ud800\n12345","domainName":"contoso"}`:                             "surrogate",
		`{"username":"CONTOSO\\svc","password":"C4nary","domainName":"contoso"}`:                             "no user has",
		`{"\ud800":"C4nary"}`:                      "key is not valid",
		`contoso\svc:` + strings.Repeat("C4", 129): "256 UTF-16 units",
		`contoso\svc:` + strings.Repeat("🔑", 129):  "256 UTF-16 units",
	} {
		c, err := secrets.ParseContent([]byte(in))
		if err == nil {
			t.Errorf("ParseContent(%.80q) = %v", in, c)
			continue
		}
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), cause) {
			t.Errorf("ParseContent(%.80q): %v, want %q", in, err, cause)
		}
		if strings.Contains(err.Error(), "C4") {
			t.Errorf("ParseContent(%.80q) quotes: %v", in, err)
		}
	}
}

func TestParseKeysNamesWhatIsMissing(t *testing.T) {
	_, err := secrets.ParseKeys(map[string][]byte{"user": []byte("C4nary"), "username": nil})
	if err == nil || !strings.Contains(err.Error(), "without username and password") || strings.Contains(err.Error(), "C4") {
		t.Errorf("got %v", err)
	}
	if _, err := secrets.ParseKeys(nil); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

func TestWarningsNameWhatIsSuspicious(t *testing.T) {
	for password, want := range map[string]string{
		"Passw0rd!":                    "",
		"with a blank inside":          "",
		"pässwörd🔑":                    "",
		"C4nary\n":                     "line end",
		"C4nary\r\n":                   "line end",
		"C4nary\r":                     "line end",
		"C4nary ":                      "ends in a blank",
		"\tC4nary":                     "begins with a blank",
		"\ufeffC4nary":                 "byte order mark",
		"C4na\x1bry":                   "control character",
		"C4na\nry":                     "control character",
		"C4na\ufffdry":                 "U+FFFD",
		`"C4nary"`:                     "quotation marks",
		"System.Security.SecureString": "PowerShell",
	} {
		got := secrets.Warnings(secretstest.New("contoso.com", "svc", password))
		if want == "" && got != nil || want != "" && !slices.ContainsFunc(got, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("%q: %q, want %q", password, got, want)
		}
		if strings.Contains(strings.Join(got, " "), "C4") {
			t.Errorf("%q is quoted in %q", password, got)
		}
	}
	if w := secrets.Warnings(secretstest.New("contoso.com", "svc", "C4nary\r\n")); len(w) != 1 {
		t.Errorf("one line end gives %q", w)
	}
	if w := secrets.Warnings(secretstest.New("contoso.com", " svc@x", "x")); len(w) != 2 {
		t.Errorf("a user with a blank and a domain gives %q", w)
	}
}

func FuzzParseContent(f *testing.F) {
	for _, s := range []string{
		`contoso\svc:a:b\c"d`, "svc@contoso.com:x\r\n", "\ufeffcontoso\\svc:x",
		`{"username":"svc","password":"\ud83d\udd11","domainName":"contoso.com","x":[{"a":"}"}]}`,
		`{"usernameOfStandardUserAccount":"svc","passwordOfStandardUserAccount":"x","domainName":"contoso"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := secrets.ParseContent(b)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("not malformed: %v", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("accepted what is not valid: %v", err)
		}
		for _, w := range secrets.Warnings(c) {
			if len(c.Password.Bytes()) > 8 && strings.Contains(w, string(c.Password.Bytes())) && !strings.Contains(w, "PowerShell") {
				t.Errorf("warning quotes the password")
			}
		}
		// encoding/json is the oracle for the JSON form.
		var m map[string]json.RawMessage
		if json.Unmarshal(b, &m) != nil {
			return
		}
		for k, raw := range m {
			var s string
			if json.Unmarshal(raw, &s) == nil && strings.EqualFold(k, "password") && s != "" && s != string(c.Password.Bytes()) {
				t.Errorf("password %q, encoding/json reads %q", c.Password.Bytes(), s)
			}
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{
		`"contoso\\svc:a:b\\c\"d"`, `{"username":"svc","password":"\ud83d\udd11","domainName":"contoso.com"}`, `"{\"username\":\"svc@c.com\",\"password\":\"x\"}"`, "[]", `"\ud83d"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := secrets.ParseJSON(b)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("not malformed: %v", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("a credential that is none: %v", err)
		}
	})
}
