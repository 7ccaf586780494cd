package https

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestTagsAreOfAnswersThatTheyCanTellApart(t *testing.T) {
	const date, second = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
	u := &url.URL{Scheme: "https", Host: "specs.contoso.example", Path: "/x", RawQuery: "signature=hunter2"}
	for _, c := range []struct {
		want string
		h    http.Header
	}{
		{`etag "v1"`, http.Header{"Etag": {`"v1"`}, "Last-Modified": {date}, "Date": {second}}},
		{`etag W/"v1"`, http.Header{"Etag": {`W/"v1"`}}},
		{`etag ""`, http.Header{"Etag": {`""`}}},
		{"etag \"\xfc\"", http.Header{"Etag": {"\"\xfc\""}}},
		{"modified " + date, http.Header{"Last-Modified": {date}, "Date": {second}}},
		{"modified " + date, http.Header{"Etag": {"v1"}, "Last-Modified": {"Sunday, 06-Nov-94 08:49:37 GMT"}, "Date": {second}}},
		{"", http.Header{"Last-Modified": {date}, "Date": {date}}},
		{"", http.Header{"Last-Modified": {second}, "Date": {date}}},
	} {
		if got := tagOf(c.h, u, false).String(); got != c.want {
			t.Errorf("%v: tag %q, want %q", c.h, got, c.want)
		}
	}
	for _, h := range []http.Header{
		{}, {"Last-Modified": {date}}, {"Last-Modified": {"yesterday"}, "Date": {date}},
		{"Etag": {`"`}}, {"Etag": {`w/"x"`}}, {"Etag": {`"a"b"`}}, {"Etag": {"\"a\x7f\""}}, {"Etag": {`"a b"`}},
		{"Etag": {`"` + strings.Repeat("x", maxETag) + `"`}},
	} {
		if got := tagOf(h, u, true); got != (tag{}) {
			t.Errorf("%v: tag %q", h, got)
		}
	}
	got := tagOf(http.Header{"Etag": {`"v1"`}}, u, true)
	if s := got.String(); !strings.HasPrefix(s, "@") || !strings.HasSuffix(s, ` etag "v1"`) || strings.Contains(s, "hunter2") {
		t.Errorf("redirected: tag %q", s)
	}
	if !got.isFor(u, true) || got.isFor(u, false) || got.isFor(&url.URL{Host: "other"}, true) {
		t.Error("a redirected document's tag is not of its URL alone")
	}
}

func TestRetryAfterIsReadAndNotRepeated(t *testing.T) {
	for in, want := range map[string]string{
		"120":                           "after 120s",
		"0":                             "after 0s",
		"Sun, 06 Nov 1994 08:49:37 GMT": "after 1994-11-06 08:49:37Z",
		"":                              "",
		"-1":                            "",
		"soon":                          "",
		"99999999999":                   "",
	} {
		if got := retryAfter(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A tag comes back from a cache's file: what parses is what was written, and
// nothing that could end a header.
func FuzzParseTag(f *testing.F) {
	for _, s := range []string{
		"", `etag "v1"`, `etag W/"v1"`, "modified Sun, 06 Nov 1994 08:49:37 GMT",
		"@0123456789abcdef0123456789abcdef etag \"v1\"", "@0123456789abcdef0123456789abcdef modified Sun, 06 Nov 1994 08:49:37 GMT",
		"@ etag \"\"", "etag \"a\r\nb\"", "modified Mon, 06 Nov 1994 08:49:37 GMT", "@0123456789abcdef0123456789abcdef ",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, ok := parseTag(s)
		if !ok {
			if parsed != (tag{}) {
				t.Errorf("%q is no tag and gives %q", s, parsed)
			}
			return
		}
		if got := parsed.String(); got != s {
			t.Errorf("%q is read as %q", s, got)
		}
		h := make(http.Header)
		parsed.condition(h)
		if len(h) != 1 {
			t.Errorf("%q has conditions %v", s, h)
		}
		for _, values := range h {
			if strings.ContainsAny(values[0], "\r\n\x00") || len(values[0]) > maxETag {
				t.Errorf("%q has condition %q", s, values[0])
			}
		}
	})
}

// Whatever a reference or a redirect says, what is asked has a host in the one
// form in which hosts are compared.
func FuzzAdmit(f *testing.F) {
	for _, s := range []string{
		"https://specs.contoso.example/x.json", "https://SPECS.contoso.example:443/x?y=z", "http://localhost:8080/x", "http://[::1]/x",
		"https://bücher.example/", "https://[fe80::1%25eth0]:8443/", "https://2852039166/", "https://１６９.254.169.254/",
		"https://b%C3%BCcher.example/", "//x", "https://a:/", "https://:443/", "https://[::ffff:7f00:1]/",
	} {
		f.Add(s)
	}
	source, err := New(Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil || source.admit(u) != nil {
			return
		}
		key, first := hostPort(u), *u
		again, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("%q becomes %q: %v", s, u, err)
		}
		if err := source.admit(again); err != nil {
			t.Errorf("%q becomes %q: %v", s, u, err)
		}
		if again.Host != first.Host || hostPort(again) != key {
			t.Errorf("%q becomes %s, and then %s", s, first.Host, again.Host)
		}
	})
}
