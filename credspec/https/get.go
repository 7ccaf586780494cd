package https

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// maxRedirects is more than anybody needs: to another name, to another server
// and to a signed address.
const maxRedirects = 5

// get gets a document, unless it is the one with the tag.
func (s *Source) get(ctx context.Context, ref credspec.Ref, known tag) (credspec.Document, error) {
	u, err := s.target(ref)
	if err != nil {
		return credspec.Document{}, err
	}
	first := u
	for range maxRedirects + 1 {
		redirected := u != first
		var condition tag
		if known.isFor(u, redirected) {
			condition = known
		}
		doc, next, err := s.ask(ctx, u, condition, redirected)
		switch {
		case err == credspec.ErrUnchanged:
			return credspec.Document{}, err
		case err != nil && redirected:
			return credspec.Document{}, fmt.Errorf("%s (redirected from %s) %w", place(u), first.Host, err)
		case err != nil:
			return credspec.Document{}, fmt.Errorf("%s %w", u.Host, err)
		case next == nil:
			doc.Ref = ref
			return doc, nil
		}
		u = next
	}
	return credspec.Document{}, fmt.Errorf("%s redirects more than %d times: %w", first.Host, maxRedirects, fault.ErrMalformed)
}

// ask asks one server. It returns the document, or where the server redirects
// to. Its errors go on after the server's name.
func (s *Source) ask(ctx context.Context, u *url.URL, known tag, redirected bool) (credspec.Document, *url.URL, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return credspec.Document{}, nil, fmt.Errorf("cannot be asked: %w", fault.ErrMalformed)
	}
	req.Header.Set("User-Agent", "gmsa-agent")
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	req.Header.Set("Accept-Encoding", "identity")
	known.condition(req.Header)
	host, via := s.connection(u)
	if host.TokenFile != "" && u.Scheme == Scheme {
		token, err := readToken(host.TokenFile)
		if err != nil {
			return credspec.Document{}, nil, fmt.Errorf("is not asked: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	} else {
		host.TokenFile = ""
	}
	answer, err := via.RoundTrip(req)
	if err != nil {
		return credspec.Document{}, nil, failure(ctx, host, err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		data, err := read(answer)
		if err != nil {
			if ctx.Err() != nil {
				err = &contextError{ctx.Err()}
			}
			return credspec.Document{}, nil, err
		}
		return credspec.Document{Data: data, Origin: place(u), Tag: tagOf(answer.Header, u, redirected).String()}, nil, nil
	case http.StatusNotModified:
		if known != (tag{}) {
			return credspec.Document{}, nil, credspec.ErrUnchanged
		}
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		next, err := s.redirect(u, answer.Header.Get("Location"))
		if err != nil {
			err = fmt.Errorf("answers with %w", err)
		}
		return credspec.Document{}, next, err
	}
	return credspec.Document{}, nil, statusError(answer, host.TokenFile)
}

// connection is what is configured for a URL's host, and what connects to it.
func (s *Source) connection(u *url.URL) (Host, http.RoundTripper) {
	host, listed := s.hosts[hostPort(u)]
	if !listed {
		host.CAFile = s.cfg.CAFile
	}
	if u.Scheme == SchemePlain {
		return host, s.plain
	}
	return host, s.secure[host.CAFile]
}

// failure is why there is no answer.
func failure(ctx context.Context, host Host, err error) error {
	if ctx.Err() != nil {
		return &contextError{ctx.Err()}
	}
	err = outbound.Explain(err)
	if _, ok := errors.AsType[*outbound.CertificateError](err); ok {
		trusted := "this system's CAs are trusted"
		if host.CAFile != "" {
			trusted = "those of CA file " + host.CAFile + " are trusted"
		}
		return fmt.Errorf("cannot be trusted (%s): %w", trusted, err)
	}
	return fmt.Errorf("cannot be asked: %w", err)
}

// contextError says that there was no time left.
type contextError struct{ err error }

func (e *contextError) Error() string { return "has not answered: " + e.err.Error() }
func (e *contextError) Unwrap() error { return e.err }

// read reads a document, all of it or none.
func read(answer *http.Response) ([]byte, error) {
	if coding := answer.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, fmt.Errorf("sends the document compressed (%.20q), unasked: %w", coding, fault.ErrMalformed)
	}
	if answer.ContentLength > credspec.MaxSize {
		return nil, errTooLong
	}
	if answer.ContentLength < 0 && answer.ProtoMajor < 2 && len(answer.TransferEncoding) == 0 {
		return nil, fmt.Errorf("sends a document without its length, so that a part of it could not be told from the whole: %w", fault.ErrMalformed)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, credspec.MaxSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("stopped after %d bytes of the document: %w", len(data), fault.ErrUnavailable)
	case len(data) > credspec.MaxSize:
		return nil, errTooLong
	case isWebPage(answer.Header, data):
		return nil, fmt.Errorf("answers with a web page, as sign-in pages and captive portals do: %w", fault.ErrUnavailable)
	}
	return data, nil
}

var errTooLong = fmt.Errorf("has a document of more than %d bytes: %w", credspec.MaxSize, fault.ErrMalformed)
