package gcpsecretmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"cloud.google.com/go/auth/credentials/externalaccount"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// federation is a credential configuration of workload identity federation:
// https://google.aip.dev/auth/4117
type federation struct {
	Type             string `json:"type"`
	Audience         string `json:"audience"`
	SubjectTokenType string `json:"subject_token_type"`
	TokenURL         string `json:"token_url"`
	Universe         string `json:"universe_domain"`
	ClientSecret     string `json:"client_secret"`
	WorkforceProject string `json:"workforce_pool_user_project"`
	ImpersonationURL string `json:"service_account_impersonation_url"`
	Impersonation    struct {
		Seconds int `json:"token_lifetime_seconds"`
	} `json:"service_account_impersonation"`
	Source source `json:"credential_source"`
}

// The places of Google's that a configuration may name. Each has regional
// endpoints, too.
var (
	audience   = regexp.MustCompile(`^//iam\.googleapis\.com/projects/[0-9]{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{1,63}/providers/[a-z0-9-]{1,63}$`)
	stsURL     = regexp.MustCompile(`^https://sts(\.[a-z][a-z0-9-]{1,61}\.rep)?\.googleapis\.com/v1/token$`)
	iamURL     = regexp.MustCompile(`^https://iamcredentials(\.[a-z][a-z0-9-]{1,61}\.rep)?\.googleapis\.com/v1/projects/(-|[a-z0-9-]{1,63})/serviceAccounts/([A-Za-z0-9@._-]{1,255}):generateAccessToken$`)
	tokenTypes = []string{"urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token", "urn:ietf:params:oauth:token-type:saml2"}
)

// parseFederation's errors go on after the path. They wrap errors.ErrUnsupported
// for what could be meant and is not done here, else fault.ErrUnavailable.
func parseFederation(b []byte) (federation, error) {
	var f federation
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fmt.Errorf("is not JSON, or not of this kind: %w", fault.ErrUnavailable)
	}
	bad := func(what string) (federation, error) {
		return f, fmt.Errorf("%s: %w", what, fault.ErrUnavailable)
	}
	switch {
	case f.Type != "external_account":
		return bad("is not of type external_account")
	case f.Universe != "" && f.Universe != universe:
		return bad("is of another cloud than " + universe)
	case f.WorkforceProject != "" || f.ClientSecret != "" || strings.HasPrefix(f.Audience, "//iam.googleapis.com/locations/"):
		return f, fmt.Errorf("is of a workforce pool, which is for people: %w", errors.ErrUnsupported)
	case !audience.MatchString(f.Audience):
		return bad("has no audience that is a provider of a workload identity pool")
	case !stsURL.MatchString(f.TokenURL):
		return bad("has a token_url that is not https://sts.googleapis.com/v1/token")
	case f.ImpersonationURL != "" && !iamURL.MatchString(f.ImpersonationURL):
		return bad("has a service_account_impersonation_url that is not https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/EMAIL:generateAccessToken")
	case f.Impersonation.Seconds != 0 && (f.Impersonation.Seconds < 600 || f.Impersonation.Seconds > 43200):
		return bad("has a token_lifetime_seconds that is not 600 to 43200")
	}
	if err := f.Source.check(); err != nil {
		return f, err
	}
	if !slices.Contains(tokenTypes, f.SubjectTokenType) {
		return bad("has a subject_token_type that is none of jwt, id_token, saml2")
	}
	return f, nil
}

// who is the identity, for people.
func (f federation) who() string {
	pool := "the workload identity of " + strings.TrimPrefix(f.Audience, "//iam.googleapis.com/")
	if m := iamURL.FindStringSubmatch(f.ImpersonationURL); m != nil {
		return "the service account " + m[3] + ", as " + pool
	}
	return pool
}

// workload exchanges a subject token for one of Google's, and that for one of a
// service account if the configuration says so. The files are read each time,
// so that they can be replaced.
func (s *Store) workload(ctx context.Context) (token, error) {
	path := s.cfg.CredentialsFile
	// It is not secret, but says whose token goes out to become whom.
	b, err := readFile(path, private.File)
	if err != nil {
		return token{}, fmt.Errorf("credentials file %s %w", path, err)
	}
	f, err := parseFederation(b)
	if err != nil {
		return token{}, fmt.Errorf("credentials file %s %w", path, err)
	}
	who := f.who()
	credentials, err := externalaccount.NewCredentials(&externalaccount.Options{
		Audience: f.Audience, SubjectTokenType: f.SubjectTokenType, TokenURL: f.TokenURL, Scopes: []string{scope}, UniverseDomain: universe,
		ServiceAccountImpersonationURL: f.ImpersonationURL, ServiceAccountImpersonationLifetimeSeconds: f.Impersonation.Seconds,
		SubjectTokenProvider: subject{s, f.Source},
		Client:               &http.Client{Transport: s.issuers(f)}, Logger: discard,
	})
	if err != nil {
		return token{}, none(ctx, who, err, "credentials file "+path+" cannot be used")
	}
	got, err := credentials.Token(ctx)
	if err != nil {
		return token{}, none(ctx, who, err, "Google answers with something else than a token")
	}
	return newToken(got, who)
}

// issuers are who the SDK may ask for a token, and nobody else.
func (s *Store) issuers(f federation) http.RoundTripper {
	sts := s.endpoint(host(f.TokenURL), f.TokenURL, judgeOAuth(host(f.TokenURL)))
	iam := s.endpoint(host(f.ImpersonationURL), f.ImpersonationURL, judgeIAM(host(f.ImpersonationURL)))
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if f.ImpersonationURL != "" && r.URL.String() == f.ImpersonationURL {
			return iam.RoundTrip(r)
		}
		return sts.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// host is that of a URL that was checked.
func host(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Host
}

// judgeIAM judges the answers of the IAM Credentials API.
func judgeIAM(name string) func(int, http.Header, []byte) error {
	return func(status int, _ http.Header, body []byte) error {
		said := googleAnswer(body)
		switch status {
		case http.StatusOK:
			return nil
		case http.StatusForbidden:
			why := "the workload identity lacks roles/iam.workloadIdentityUser on it"
			if m := said.meaning(); m != "" {
				why = m
			}
			return fmt.Errorf("%s (%s answers 403 %s): %w", why, name, said.or("Forbidden"), fault.ErrDenied)
		case http.StatusNotFound:
			return fmt.Errorf("there is no such service account (%s answers 404): %w", name, fault.ErrDenied)
		case http.StatusBadRequest, http.StatusUnauthorized:
			return fmt.Errorf("%s answers %d %s: %w", name, status, said, fault.ErrDenied)
		}
		return unavailable(name, status, said.code)
	}
}
