package gcpsecretmanager

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloud.google.com/go/auth"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// scope is the one that Secret Manager needs; there is no narrower one.
// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access#authorization-scopes
const scope = "https://www.googleapis.com/auth/cloud-platform"

// early is how long before its end a token is replaced: as Google's own library
// has it. Metadata servers have a new one five minutes before.
const early = 225 * time.Second

// maxToken bounds a token, in bytes. Google promises less than 2 KiB for service
// accounts' and less than 12 KiB for federated ones.
// https://cloud.google.com/docs/authentication/token-types#token-sizes
const maxToken = 16 << 10

// token is an access token.
type token struct {
	value string
	who   string // for people
	due   time.Time
}

// newToken takes over the SDK's.
func newToken(t *auth.Token, who string) (token, error) {
	if t == nil || t.Value == "" || len(t.Value) > maxToken || strings.ContainsFunc(t.Value, func(r rune) bool { return r <= ' ' || r > '~' }) ||
		t.Type != "" && !strings.EqualFold(t.Type, "Bearer") {
		return token{}, fmt.Errorf("no token for %s: the answer is none: %w", who, fault.ErrUnavailable)
	}
	return token{t.Value, who, t.Expiry.Add(-early)}, nil
}

// tokens keeps the token while it is good. One caller asks for a new one, the
// others wait for it, each as long as its own context lets it.
type tokens struct {
	ask  func(context.Context) (token, error)
	turn chan struct{} // holds who is at it
	last token
}

// get returns a token, and whether it was kept from earlier; never the one that
// was refused, if there is one.
func (t *tokens) get(ctx context.Context, refused string) (_ token, kept bool, err error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return token{}, false, interrupted(ctx)
	}
	defer func() { <-t.turn }()
	if t.last.value != "" && t.last.value != refused && time.Now().Before(t.last.due) {
		return t.last, true, nil
	}
	got, err := t.ask(ctx)
	if err != nil {
		return token{}, false, err
	}
	t.last = got
	return got, false, nil
}

// none says why there is no token.
func none(ctx context.Context, who string, err error, otherwise string) error {
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	return fmt.Errorf("no token for %s: %w", who, explain(ctx, err, fmt.Errorf("%s: %w", otherwise, fault.ErrUnavailable)))
}

// endpoint is a fence around one address of a service that issues tokens.
func (s *Store) endpoint(name, url string, judge func(status int, h http.Header, body []byte) error) *fence {
	return &fence{
		name: name, via: s.google, pauses: s.pauses, judge: judge,
		place: func(r *http.Request) bool { return r.URL.String() == url },
	}
}

// judgeOAuth judges the answers of a token endpoint.
func judgeOAuth(name string) func(int, http.Header, []byte) error {
	return func(status int, _ http.Header, body []byte) error {
		if status == http.StatusOK {
			return nil
		}
		code, meaning, passes := oauthAnswer(body)
		switch {
		case passes, status != http.StatusBadRequest && status != http.StatusUnauthorized && status != http.StatusForbidden:
			return unavailable(name, status, code)
		case meaning != "":
			return fmt.Errorf("%s (%s answers %s): %w", meaning, name, strings.TrimSpace(fmt.Sprint(status, " ", code)), fault.ErrDenied)
		}
		return fmt.Errorf("%s answers %s: %w", name, strings.TrimSpace(fmt.Sprint(status, " ", code)), fault.ErrDenied)
	}
}
