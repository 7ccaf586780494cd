package secrets

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of what is read as a credential, in bytes.
const (
	// MaxContent is the largest secret of the stores that limit it: AWS
	// Secrets Manager and Google Secret Manager, 64 KiB; Azure Key Vault, 25 KiB.
	MaxContent = 64 << 10
	// MaxPassword is Windows' 256 UTF-16 units (PWLEN in lmcons.h), each of up
	// to three bytes; a surrogate pair's two units are four.
	MaxPassword = 3 * maxPasswordUnits
	maxUser     = 1024 // UNLEN is 256 characters
	maxDomain   = 253  // of a DNS name

	maxPasswordUnits = 256
)

// utf8BOM stands at the beginning of what Windows' editors and PowerShell
// save. It is no part of any form and is skipped.
var utf8BOM = []byte("\ufeff")

// ParseContent reads a secret's content in one of its forms:
//
//	contoso\user:password
//	user@contoso.com:password
//	{"username": "user", "password": "…", "domainName": "contoso.com"}
//
// In the first form the domain ends at the first "\" and the user at the first
// ":" after it; in the second the user ends at the first ":" and the domain
// begins after the last "@" before it. All that follows is the password, blanks
// and line ends included. The JSON form takes the keys of [ParseKeys] and
// ignores others. The second form, and a JSON user with "@" but no domain, is
// an implicit user principal name: sAMAccountName@DNS domain.
//
// The credential has bytes of its own; the caller still owns b and wipes it. An
// error wraps fault.ErrMalformed and quotes nothing of b.
func ParseContent(b []byte) (*Credential, error) {
	if len(b) > MaxContent {
		return nil, malformed("secret content: longer than %d bytes", MaxContent)
	}
	if bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
		return nil, malformed("secret content: looks like UTF-16, UTF-8 is needed")
	}
	b = bytes.TrimPrefix(b, utf8BOM)
	if !utf8.Valid(b) {
		return nil, malformed("secret content: not UTF-8")
	}
	if trimmed := bytes.TrimSpace(b); len(trimmed) == 0 {
		return nil, malformed("secret content: empty")
	} else if trimmed[0] == '{' {
		return parseJSONContent(trimmed)
	}
	return parseTextContent(b)
}

func parseTextContent(b []byte) (*Credential, error) {
	slash, colon := bytes.IndexByte(b, '\\'), bytes.IndexByte(b, ':')
	switch {
	case slash >= 0 && (colon < 0 || slash < colon):
		user, password, ok := bytes.Cut(b[slash+1:], []byte{':'})
		if !ok {
			return nil, malformed(`secret content: no ":" between user and password`)
		}
		return newCredential(string(b[:slash]), string(user), password)
	case colon >= 0 && bytes.IndexByte(b[:colon], '@') >= 0:
		return newCredential("", string(b[:colon]), b[colon+1:])
	}
	return nil, malformed(`secret content: neither domain\user:password, user@domain:password nor JSON`)
}

// ParseKeys reads a secret that has its parts under keys, as a Kubernetes
// Secret has: username or usernameOfStandardUserAccount, password or
// passwordOfStandardUserAccount, and domainName, in any case. An empty value
// counts as none; two keys that mean the same must not differ. Other keys are
// ignored.
//
// The credential has bytes of its own. An error wraps fault.ErrMalformed and
// quotes none of the values.
func ParseKeys(keys map[string][]byte) (*Credential, error) {
	var f fields
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if err := f.set(k, keys[k]); err != nil {
			return nil, err
		}
	}
	return f.credential()
}

// fields are the parts of a credential by what their keys mean.
type fields struct{ user, password, domain []byte }

func (f *fields) place(key string) *[]byte {
	switch strings.ToLower(key) {
	case "username", "usernameofstandarduseraccount":
		return &f.user
	case "password", "passwordofstandarduseraccount":
		return &f.password
	case "domainname":
		return &f.domain
	}
	return nil
}

func (f *fields) set(key string, value []byte) error {
	p := f.place(key)
	if p == nil || len(value) == 0 {
		return nil
	}
	if *p != nil && !bytes.Equal(*p, value) {
		return malformed("secret content: two keys with different values for what %q means", key)
	}
	*p = value
	return nil
}

func (f *fields) credential() (*Credential, error) {
	var missing []string
	if f.user == nil {
		missing = append(missing, "username")
	}
	if f.password == nil {
		missing = append(missing, "password")
	}
	if f.domain == nil && !bytes.ContainsAny(f.user, `\@`) && f.user != nil {
		missing = append(missing, "domainName")
	}
	if missing != nil {
		return nil, malformed("secret content: without %s, or empty", strings.Join(missing, " and "))
	}
	return newCredential(string(f.domain), string(f.user), f.password)
}

// newCredential copies the password. An empty domain is taken from the user.
func newCredential(domain, user string, password []byte) (*Credential, error) {
	if domain == "" {
		if d, u, ok := strings.Cut(user, `\`); ok {
			domain, user = d, u
		} else if i := strings.LastIndexByte(user, '@'); i >= 0 {
			domain, user = user[i+1:], user[:i]
		}
	}
	c := &Credential{Domain: domain, User: user, Password: New(bytes.Clone(password))}
	if err := c.Validate(); err != nil {
		c.Wipe()
		return nil, err
	}
	return c, nil
}

// Validate reports what makes it impossible to give the credential to Windows.
// The error wraps fault.ErrMalformed and quotes nothing.
func (c *Credential) Validate() error {
	if err := ValidateAccount(c.Domain, c.User); err != nil {
		return err
	}
	p := c.Password.Bytes()
	switch {
	case len(p) == 0:
		return malformed("credential: the password is empty")
	case len(p) > MaxPassword:
		return malformed("credential: the password is longer than %d bytes", MaxPassword)
	case !utf8.Valid(p):
		return malformed("credential: the password is not UTF-8")
	case utf16Units(p) > maxPasswordUnits:
		return malformed("credential: the password is longer than the %d UTF-16 units that Windows accepts", maxPasswordUnits)
	case bytes.IndexByte(p, 0) >= 0:
		return malformed("credential: the password contains a NUL, where Windows would end it")
	}
	return nil
}

// ValidateAccount is the part of [Credential.Validate] that needs no password.
func ValidateAccount(domain, user string) error {
	if err := checkName("domain", domain, maxDomain, `\/:*?"<>|@,;[]=+ `); err != nil {
		return err
	}
	// The characters that a sAMAccountName can't have, but for "@", which a
	// user principal name has.
	return checkName("user", user, maxUser, `"/\[]:;|=,+*?<>`)
}

func utf16Units(p []byte) (n int) {
	for len(p) > 0 {
		r, size := utf8.DecodeRune(p)
		p = p[size:]
		n += utf16.RuneLen(r)
	}
	return n
}

func checkName(what, s string, max int, forbidden string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return malformed("credential: the %s is empty", what)
	case len(s) > max:
		return malformed("credential: the %s is longer than %d bytes", what, max)
	case !utf8.ValidString(s):
		return malformed("credential: the %s is not UTF-8", what)
	case strings.TrimRight(s, "\r\n") != s:
		return malformed("credential: the %s ends in a line end", what)
	case strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsGraphic(c) }):
		return malformed("credential: the %s contains a character that cannot be seen", what)
	case strings.ContainsAny(s, forbidden):
		return malformed("credential: the %s contains a character that no %s has", what, what)
	}
	return nil
}

// Warnings names what is legal in a credential but seldom meant, without
// showing any of it. Nothing is changed because of it: the password may really
// end in a line end.
func Warnings(c *Credential) []string {
	var w []string
	add := func(is bool, text string) {
		if is {
			w = append(w, text)
		}
	}
	p := c.Password.Bytes()
	first, _ := utf8.DecodeRune(p)
	last, _ := utf8.DecodeLastRune(p)
	lineEnd := last == '\n' || last == '\r'
	control := false
	for q := p; len(q) > 0; {
		r, n := utf8.DecodeRune(q)
		q = q[n:]
		control = control || unicode.IsControl(r) && !(lineEnd && len(bytes.TrimLeft(q, "\r\n")) == 0)
	}
	add(lineEnd, "the password ends in a line end")
	add(!lineEnd && unicode.IsSpace(last), "the password ends in a blank")
	add(unicode.IsSpace(first), "the password begins with a blank")
	add(first == '\ufeff', "the password begins with a byte order mark")
	add(control, "the password contains a control character")
	add(bytes.ContainsRune(p, utf8.RuneError), "the password contains U+FFFD, which stands for what a wrong encoding lost")
	add(len(p) > 1 && first == last && (first == '"' || first == '\''), "the password is in quotation marks, which are part of it")
	add(bytes.Equal(bytes.TrimSpace(p), []byte("System.Security.SecureString")), "the password is the name of a PowerShell type, not its value")
	add(strings.TrimSpace(c.User) != c.User, "the user begins or ends with a blank")
	add(strings.Contains(c.User, "@"), "the user is a user principal name although the domain is given too")
	return w
}
