package gcpsecretmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"

	"cloud.google.com/go/auth"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// tokenURL is where service accounts with a key get their tokens, whatever a
// file says.
const tokenURL = "https://oauth2.googleapis.com/token"

const googleOAuth = "oauth2.googleapis.com"

// key is a service account's key, as Google has one download it.
type key struct {
	Type     string  `json:"type"`
	ID       string  `json:"private_key_id"`
	PEM      pemText `json:"private_key"`
	Email    string  `json:"client_email"`
	Universe string  `json:"universe_domain"`
}

// pemText is a text that can be overwritten.
type pemText []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *pemText) UnmarshalText(b []byte) error {
	*p = bytes.Clone(b)
	return nil
}

// account gets a token for the service account whose key is in the credentials
// file. The file is read each time, so that it can be replaced.
func (s *Store) account(ctx context.Context) (token, error) {
	path := s.cfg.CredentialsFile
	b, err := readFile(path, private.Secret)
	if err != nil {
		return token{}, fmt.Errorf("key file %s %w", path, err)
	}
	defer clear(b)
	k, err := parseKey(b)
	defer clear(k.PEM)
	if err != nil {
		return token{}, fmt.Errorf("key file %s %w", path, err)
	}
	who := "the service account " + k.Email
	provider, err := auth.New2LOTokenProvider(&auth.Options2LO{
		Email: k.Email, PrivateKey: k.PEM, PrivateKeyID: k.ID, TokenURL: tokenURL, Scopes: []string{scope},
		Client: &http.Client{Transport: s.endpoint(googleOAuth, tokenURL, judgeOAuth(googleOAuth))}, Logger: discard,
	})
	if err != nil {
		return token{}, none(ctx, who, err, "key file "+path+" cannot be used")
	}
	got, err := provider.Token(ctx)
	if err != nil {
		return token{}, none(ctx, who, err, "key file "+path+" cannot be signed with, or "+googleOAuth+" answers with something else than a token")
	}
	return newToken(got, who)
}

// parseKey's errors go on after the path.
func parseKey(b []byte) (key, error) {
	var k key
	if err := json.Unmarshal(b, &k); err != nil {
		return k, fmt.Errorf("is not JSON, or not of this kind: %w", fault.ErrUnavailable)
	}
	block, _ := pem.Decode(k.PEM)
	switch {
	case k.Type != "service_account":
		return k, fmt.Errorf("is not of type service_account: %w", fault.ErrUnavailable)
	case k.Universe != "" && k.Universe != universe:
		return k, fmt.Errorf("is of another cloud than %s: %w", universe, fault.ErrUnavailable)
	case !isVisible(k.Email) || !strings.Contains(k.Email, "@") || !isVisible(k.ID):
		return k, fmt.Errorf("has no client_email or no private_key_id: %w", fault.ErrUnavailable)
	case block == nil:
		return k, fmt.Errorf("has no private_key: %w", fault.ErrUnavailable)
	}
	clear(block.Bytes)
	return k, nil
}

// universe is the cloud that is known here: Google's own.
const universe = "googleapis.com"

// isVisible says whether a text is one of ASCII that may stand in messages and
// headers.
func isVisible(s string) bool {
	return s != "" && len(s) <= 1024 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
