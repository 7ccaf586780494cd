package https

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// tag is what a server said of a document for telling it from a later one. The
// zero tag fits no document.
//
// Its text is "etag <entity tag>" or "modified <date>"; before it stands
// "@<digest of the URL> " where the document was behind redirects: validators
// of two servers, or of two documents of one, may happen to be alike.
type tag struct {
	at       string // digest of the URL; empty: the reference's own
	etag     string // with its quotes; or
	modified time.Time
}

// The bounds of a tag. Servers' entity tags have fewer than 100 bytes; a
// longer one is as good as none.
const (
	maxETag   = 512
	digestLen = 32 // hexadecimal digits: 128 bits
)

// tagOf reads an answer's validators.
func tagOf(h http.Header, u *url.URL, redirected bool) tag {
	var t tag
	if redirected {
		t.at = urlDigest(u)
	}
	if etag := h.Get("ETag"); validETag(etag) {
		t.etag = etag
		return t
	}
	// A date counts seconds: one that was given in the second of the change
	// would fit the next change in that second too (RFC 9110, 8.8.2.2).
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return tag{}
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || date.Sub(modified) < time.Second {
		return tag{}
	}
	t.modified = modified.UTC()
	return t
}

// condition adds to a request that the answer shall be another document.
func (t tag) condition(h http.Header) {
	switch {
	case t.etag != "":
		h.Set("If-None-Match", t.etag)
	case !t.modified.IsZero():
		h.Set("If-Modified-Since", t.modified.Format(http.TimeFormat))
	}
}

// isFor says whether the tag is of what was behind this URL.
func (t tag) isFor(u *url.URL, redirected bool) bool {
	switch {
	case t == tag{}:
		return false
	case redirected:
		return t.at == urlDigest(u)
	}
	return t.at == ""
}

func (t tag) String() string {
	var s string
	switch {
	case t.etag != "":
		s = "etag " + t.etag
	case !t.modified.IsZero():
		s = "modified " + t.modified.Format(http.TimeFormat)
	default:
		return ""
	}
	if t.at != "" {
		s = "@" + t.at + " " + s
	}
	return s
}

// parseTag reads what String writes, and nothing else.
func parseTag(s string) (t tag, ok bool) {
	if rest, found := strings.CutPrefix(s, "@"); found {
		if t.at, s, found = strings.Cut(rest, " "); !found || len(t.at) != digestLen || strings.Trim(t.at, "0123456789abcdef") != "" {
			return tag{}, false
		}
	}
	if etag, found := strings.CutPrefix(s, "etag "); found {
		t.etag = etag
		if !validETag(etag) {
			return tag{}, false
		}
		return t, true
	}
	if date, found := strings.CutPrefix(s, "modified "); found {
		modified, err := time.Parse(http.TimeFormat, date)
		if err != nil || modified.Format(http.TimeFormat) != date {
			return tag{}, false
		}
		t.modified = modified.UTC()
		return t, true
	}
	return tag{}, false
}

// validETag is RFC 9110's grammar (8.8.3), weak ones included.
func validETag(s string) bool {
	body := strings.TrimPrefix(s, "W/")
	if len(s) > maxETag || len(body) < 2 || body[0] != '"' || body[len(body)-1] != '"' {
		return false
	}
	for _, c := range []byte(body[1 : len(body)-1]) {
		if c < 0x21 || c == '"' || c == 0x7f {
			return false
		}
	}
	return true
}

// urlDigest does not give the URL away, whose query may be as good as a
// password.
func urlDigest(u *url.URL) string {
	sum := sha256.Sum256([]byte(u.String()))
	return hex.EncodeToString(sum[:])[:digestLen]
}
