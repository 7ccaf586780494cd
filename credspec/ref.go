package credspec

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// MaxRef bounds a reference, in bytes, but for one that is the document
// itself. The longest that names something are an ARN (2048), an S3 bucket
// and key (63 + 1024) and a Linux path (4096).
const MaxRef = 4096

// The scheme of a reference that is the document itself.
const SchemeRaw = "raw"

// Ref says where a credential spec is.
//
// A Ref prints (with every verb, and as JSON and log attribute) as its String,
// which is safe to log.
type Ref struct {
	Scheme string // lower case: "file", "registry", "raw", "s3", …
	Rest   string // what follows the scheme; for an ARN, the whole ARN; for raw, the document
	SHA256 string // what the document's bytes must hash to: 64 lower-case hexadecimal digits, or empty
}

var (
	_ fmt.Stringer           = Ref{}
	_ fmt.Formatter          = Ref{}
	_ slog.LogValuer         = Ref{}
	_ encoding.TextMarshaler = Ref{}
)

// ParseRef reads a reference.
//
// It is scheme://rest, an ARN of S3 or of SSM's parameter store, or a JSON
// document (a text whose first character that is not blank is a brace, which is
// then a raw reference, byte for byte). Schemes are case-insensitive. A
// reference may end in #sha256=<64 hexadecimal digits>, but for one that is
// just a document. Before it may stand Docker's "credentialspec=" or ECS's
// "credentialspec:" or "credentialspecdomainless:".
//
// What follows the scheme is checked as far as the scheme is known to this
// package. A scheme that is not known is not an error here: which schemes can
// be resolved is the [Mux]'s business.
//
// An error wraps fault.ErrMalformed and repeats nothing of a document or of a
// credential in a URL.
func ParseRef(s string) (Ref, error) {
	ref, err := parseRef(s)
	if err != nil {
		return Ref{}, fmt.Errorf("credential spec reference %s: %w: %w", abbreviate(s), err, fault.ErrMalformed)
	}
	return ref, nil
}

func parseRef(s string) (Ref, error) {
	s = trimOption(s)
	if isDocument(s) {
		return rawRef(s, "")
	}
	if scheme, rest, found := strings.Cut(s, "://"); found && strings.EqualFold(strings.TrimSpace(scheme), SchemeRaw) {
		return parseRaw(rest)
	}
	if s = strings.TrimSpace(s); s == "" {
		return Ref{}, errors.New("is empty")
	}
	if len(s) > MaxRef {
		return Ref{}, fmt.Errorf("is longer than %d bytes", MaxRef)
	}
	if err := checkText(s); err != nil {
		return Ref{}, err
	}
	scheme, rest, found := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case len(s) >= 4 && strings.EqualFold(s[:4], "arn:"):
		body, pin, err := cutPin(s)
		if err != nil {
			return Ref{}, err
		}
		scheme, arn, err := parseARN(body)
		return Ref{Scheme: scheme, Rest: arn, SHA256: pin}, err
	case !found:
		return Ref{}, errors.New("has no scheme; a file in a credential spec folder is file://NAME.json")
	case !validScheme(scheme):
		return Ref{}, errors.New("has a malformed scheme")
	}
	rest, pin, err := cutPin(rest)
	if err != nil {
		return Ref{}, err
	}
	if rest == "" {
		return Ref{}, fmt.Errorf("has nothing after %s://", scheme)
	}
	if known := schemes[scheme]; known.check != nil {
		if rest, err = known.check(rest); err != nil {
			return Ref{}, err
		}
	}
	return Ref{Scheme: scheme, Rest: rest, SHA256: pin}, nil
}

// parseRaw reads what follows raw://. White space belongs to the document.
func parseRaw(rest string) (Ref, error) {
	// A document may have the mark of a pin in one of its strings.
	if strings.LastIndex(rest, pinMark) < strings.LastIndexByte(rest, '}') {
		return rawRef(rest, "")
	}
	rest, pin, err := cutPin(rest)
	if err != nil {
		return Ref{}, err
	}
	return rawRef(rest, pin)
}

func rawRef(document, pin string) (Ref, error) {
	switch {
	case document == "":
		return Ref{}, errors.New("has nothing after raw://")
	case len(document) > MaxSize:
		return Ref{}, fmt.Errorf("is a document longer than %d bytes", MaxSize)
	}
	return Ref{Scheme: SchemeRaw, Rest: document, SHA256: pin}, nil
}

// trimOption removes what Docker and ECS write before a reference.
func trimOption(s string) string {
	trimmed := strings.TrimLeft(s, " \t\r\n")
	for _, option := range []string{"credentialspec=", "credentialspec:", "credentialspecdomainless:"} {
		if len(trimmed) >= len(option) && strings.EqualFold(trimmed[:len(option)], option) {
			// "credentialspec://" would be a scheme, not an option.
			if rest := trimmed[len(option):]; !strings.HasPrefix(rest, "//") {
				return rest
			}
		}
	}
	return s
}

func isDocument(s string) bool {
	return strings.HasPrefix(strings.TrimLeft(s, "\ufeff \t\r\n"), "{")
}

const pinMark = "#sha256="

// cutPin removes a pin from the end.
func cutPin(s string) (rest, pin string, err error) {
	i := strings.LastIndex(s, pinMark)
	if i < 0 {
		return s, "", nil
	}
	pin = strings.ToLower(strings.TrimSpace(s[i+len(pinMark):]))
	if len(pin) != 64 || strings.Trim(pin, "0123456789abcdef") != "" {
		return "", "", errors.New("has a pin that is not #sha256= and 64 hexadecimal digits")
	}
	return s[:i], pin, nil
}

func checkText(s string) error {
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8")
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f }); i >= 0 {
		return fmt.Errorf("has control character 0x%02x at offset %d", s[i], i)
	}
	return nil
}

// validScheme is RFC 3986's grammar, lower case.
func validScheme(s string) bool {
	return s != "" && 'a' <= s[0] && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// String is the reference as a person may see it: without a raw document, of
// which only the digest is shown, and without a URL's user, password and query
// values. ParseRef reads it back to the same Ref where nothing had to be left
// out.
func (r Ref) String() string {
	var s string
	switch {
	case r == Ref{}:
		return ""
	case r.Scheme == SchemeRaw:
		s = "raw://(sha256:" + Digest([]byte(r.Rest)) + ")"
	case schemes[r.Scheme].arn && strings.HasPrefix(r.Rest, "arn:"):
		s = r.Rest
	default:
		s = r.Scheme + "://" + presentable(r.Scheme, r.Rest)
	}
	if r.SHA256 != "" {
		s += pinMark + r.SHA256
	}
	return s
}

// presentable takes the parts of a URL in which people put credentials
// (user:password@, signatures in the query) out of what follows its scheme. A
// scheme that is not known is taken for a URL's.
func presentable(scheme, rest string) string {
	if schemes[scheme].names {
		return rest
	}
	rest, query, hasQuery := strings.Cut(rest, "?")
	authority, path, hasPath := strings.Cut(rest, "/")
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if hasPath {
		authority += "/" + path
	}
	if !hasQuery {
		return authority
	}
	var shown []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, named := strings.Cut(pair, "=")
		if !named {
			name = "***" // a value without a name may be a token
		} else {
			name += "=***"
		}
		shown = append(shown, name)
	}
	return authority + "?" + strings.Join(shown, "&")
}

// Format prints String whatever the verb.
func (r Ref) Format(f fmt.State, verb rune) { fmt.Fprintf(f, fmt.FormatString(f, verb), r.String()) }

// LogValue is String.
func (r Ref) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText is String: a Ref that is stored is stored for people.
func (r Ref) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// abbreviate quotes what can be shown of a text that is no reference. What
// does not look like a name or a path may be a piece of a document.
func abbreviate(s string) string {
	const most = 80
	s = strings.TrimSpace(trimOption(s))
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if scheme = strings.ToLower(scheme); scheme == SchemeRaw {
			return "raw://…"
		}
		s = scheme + "://" + presentable(scheme, rest)
	}
	odd := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(` .:/\_-#=?@&*+`, r)
	}
	if len(s) <= most && utf8.ValidString(s) && strings.IndexFunc(s, odd) < 0 {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("of %d bytes", len(s))
}
