package secrets

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// MaxRef bounds a reference in bytes. The longest real ones, ARNs and Key Vault
// addresses, stay below a quarter of it.
const MaxRef = 4096

// Ref says where a secret is. It is not secret itself.
type Ref struct {
	// Scheme is lower case, without "://".
	Scheme string
	// Rest is what stands between "://" and "?", in the scheme's canonical
	// spelling: ARNs are whole ARNs, host names are lower case.
	Rest string
	// Query holds the parameters, each at most once; nil if there are none.
	Query url.Values
}

// String is the reference's canonical spelling: two references to the same
// secret in one spelling each give the same text, and [ParseRef] reads it
// back. It is safe to log.
func (r Ref) String() string {
	if len(r.Query) == 0 {
		return r.Scheme + "://" + r.Rest
	}
	return r.Scheme + "://" + r.Rest + "?" + r.Query.Encode()
}

// MarshalText is String, so that a reference reads the same everywhere.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseRef.
func (r *Ref) UnmarshalText(b []byte) (err error) {
	*r, err = ParseRef(string(b))
	return err
}

// Equal reports whether two references have the same canonical spelling.
func (r Ref) Equal(o Ref) bool { return r.String() == o.String() }

// ParseRef reads a reference in any accepted spelling: SCHEME://…, an ARN of
// AWS Secrets Manager or Systems Manager, and what the PluginInput of a
// document for one of the other CCG plugins says:
//
//	ObjectId=GUID;SecretUri=URL     Azure Key Vault's plugin   azurekeyvault://
//	NAMESPACE:SECRET                Rancher's plugin           kubernetes://
//	{"credentialArn":"ARN"}         Amazon ECS's plugin        awssecretsmanager://, awsssm://
//
// An error wraps fault.ErrMalformed and quotes nothing of the text but a
// scheme or a key: what stands where a reference should may well be a
// password.
func ParseRef(s string) (Ref, error) {
	r, err := parseRef(s)
	if err != nil {
		return Ref{}, fmt.Errorf("secret reference: %w", err)
	}
	return r, nil
}

func parseRef(s string) (Ref, error) {
	switch {
	case len(s) > MaxRef:
		return Ref{}, malformed("longer than %d bytes", MaxRef)
	case !utf8.ValidString(s):
		return Ref{}, malformed("not UTF-8")
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return Ref{}, malformed("empty")
	}
	if s[0] == '{' {
		return parseECSInput(s)
	}
	if name, rest, ok := strings.Cut(s, "://"); ok && isScheme(name) {
		return parseURI(strings.ToLower(name), rest)
	}
	if strings.Contains(s, "=") {
		return parseAzureInput(s)
	}
	// An ARN has five colons at least, Rancher's spelling exactly one.
	if strings.Count(s, ":") == 1 {
		return parseRancherInput(s)
	}
	if isARN(s) {
		return parseARN(s)
	}
	return Ref{}, malformed("neither SCHEME://…, an ARN, nor the input of a known CCG plugin")
}

// isScheme follows RFC 3986, section 3.1.
func isScheme(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return true
}

func parseURI(name, s string) (Ref, error) {
	sc, ok := schemes[name]
	if !ok {
		return Ref{}, malformed("unknown scheme %q; known are %s", name, strings.Join(Schemes(), ", "))
	}
	rest, query, asks := strings.Cut(s, "?")
	if err := checkRest(rest); err != nil {
		return Ref{}, fmt.Errorf("%s://: %w", name, err)
	}
	var q url.Values
	if asks {
		var err error
		if q, err = parseQuery(query, sc.query); err != nil {
			return Ref{}, fmt.Errorf("%s://: %w", name, err)
		}
	}
	r := Ref{Scheme: name, Rest: rest, Query: q}
	if err := sc.check(&r); err != nil {
		return Ref{}, fmt.Errorf("%s://: %w", name, err)
	}
	return r, nil
}

// checkRest refuses what would make one secret have two spellings or hide
// something from who reads a reference.
func checkRest(rest string) error {
	if rest == "" {
		return malformed("nothing after the scheme")
	}
	for _, c := range rest {
		switch {
		case c == '%':
			return malformed("percent-encoding is not used here; write the characters themselves")
		case c == '#':
			return malformed("a fragment (#) has no meaning here")
		case c == '\\':
			return malformed("contains a backslash; path separators are slashes")
		case c != ' ' && !unicode.IsGraphic(c), c != ' ' && unicode.IsSpace(c):
			return malformed("contains a character that cannot be seen (%U)", c)
		}
	}
	return nil
}

func parseQuery(s string, known []string) (url.Values, error) {
	q, err := url.ParseQuery(s)
	if err != nil {
		return nil, malformed("the part after \"?\" is not key=value&…")
	}
	for _, k := range slices.Sorted(maps.Keys(q)) {
		switch v := q[k]; {
		case !slices.Contains(known, k):
			if len(known) == 0 {
				return nil, malformed("takes no parameters")
			}
			return nil, malformed("unknown parameter; known are %s", strings.Join(known, ", "))
		case len(v) > 1:
			return nil, malformed("parameter %q is given %d times", k, len(v))
		case v[0] == "" || strings.ContainsFunc(v[0], func(c rune) bool { return !unicode.IsGraphic(c) }):
			return nil, malformed("parameter %q has no usable value", k)
		}
	}
	if len(q) == 0 {
		return nil, nil
	}
	return q, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", fault.ErrMalformed, fmt.Sprintf(format, args...))
}
