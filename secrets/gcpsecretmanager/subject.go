package gcpsecretmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"

	"cloud.google.com/go/auth/credentials/externalaccount"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// source is where a subject token comes from.
type source struct {
	File    string            `json:"file"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Format  struct {
		Type  string `json:"type"`
		Field string `json:"subject_token_field_name"`
	} `json:"format"`

	Executable  json.RawMessage `json:"executable"`
	Certificate json.RawMessage `json:"certificate"`
	Environment string          `json:"environment_id"`
}

// check's errors go on after the path of the configuration.
func (c source) check() error {
	bad := func(what string) error {
		return fmt.Errorf("has a credential_source %s: %w", what, fault.ErrUnavailable)
	}
	switch {
	case c.Executable != nil:
		return fmt.Errorf("has a credential_source that runs a program, which is not done here: %w", errors.ErrUnsupported)
	case c.Environment != "":
		return fmt.Errorf("has a credential_source of AWS, which takes its credentials from the environment: %w", errors.ErrUnsupported)
	case c.Certificate != nil:
		return fmt.Errorf("has a credential_source that is a certificate, which is not done here: %w", errors.ErrUnsupported)
	case (c.File == "") == (c.URL == ""):
		return bad("that is neither file nor url, or both")
	case c.File != "" && !filepath.IsAbs(c.File):
		return bad("with a file that is no absolute path")
	case c.Format.Type != "" && c.Format.Type != "text" && c.Format.Type != "json":
		return bad("with a format that is neither text nor json")
	case c.Format.Type == "json" && c.Format.Field == "":
		return bad("without a subject_token_field_name, for its format is json")
	case len(c.Headers) > 16:
		return bad("with more than 16 headers")
	}
	if c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return bad("with a url that is none")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !outbound.IsLoopback(u.Hostname()) && u.Host != metadataServer) {
		return bad("with a url that is neither https nor on this host nor a metadata server's (http://" + metadataServer + ")")
	}
	return nil
}

// subject is where the SDK gets a subject token from.
type subject struct {
	s    *Store
	from source
}

// SubjectToken implements externalaccount.SubjectTokenProvider.
func (p subject) SubjectToken(ctx context.Context, _ *externalaccount.RequestOptions) (string, error) {
	var b []byte
	var err error
	at := "subject token file " + p.from.File
	if p.from.File != "" {
		// The kubelet's, or whoever else's renews it: they protect it.
		b, err = readFile(p.from.File, anybodys)
		if err != nil {
			err = fmt.Errorf("%s %w", at, err)
		}
	} else {
		at = "the subject token's " + host(p.from.URL)
		b, err = p.ask(ctx, at)
	}
	defer clear(b)
	if err != nil {
		if _, is := errors.AsType[*told](err); is {
			return "", err
		}
		return "", &told{error: err}
	}
	text, err := p.from.extract(b)
	if err != nil {
		return "", &told{error: fmt.Errorf("%s %w", at, err)}
	}
	return text, nil
}

// extract's errors go on after the place.
func (c source) extract(b []byte) (string, error) {
	if c.Format.Type == "json" {
		var fields map[string]json.RawMessage
		var text string
		if json.Unmarshal(b, &fields) != nil || json.Unmarshal(fields[c.Format.Field], &text) != nil {
			return "", fmt.Errorf("is not JSON with a text under the subject_token_field_name: %w", fault.ErrUnavailable)
		}
		b = []byte(text)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || bytes.ContainsFunc(b, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("has no token: %w", fault.ErrUnavailable)
	}
	return string(b), nil
}

// ask asks the URL.
func (p subject) ask(ctx context.Context, name string) ([]byte, error) {
	u, err := url.Parse(p.from.URL)
	if err != nil {
		return nil, err
	}
	f := &fence{
		name: name, via: p.s.google, pauses: p.s.pauses, text: true,
		place: func(*http.Request) bool { return true },
		judge: func(status int, _ http.Header, _ []byte) error {
			switch status {
			case http.StatusOK:
				return nil
			case http.StatusUnauthorized, http.StatusForbidden:
				return fmt.Errorf("%s answers %s: %w", name, outbound.Status(status), fault.ErrDenied)
			}
			return unavailable(name, status, "")
		},
	}
	switch {
	case u.Scheme == "http" && u.Host == metadataServer:
		f.via = p.s.metadata
	case u.Scheme == "http":
		f.via = p.s.loopback
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.from.URL, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range p.from.Headers {
		r.Header.Set(k, v)
	}
	resp, err := f.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, maxFile))
}
