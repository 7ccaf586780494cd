package gcpsecretmanager

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strings"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	"google.golang.org/api/option/internaloption"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// read reads a version. A client costs nothing: the connections are the
// store's.
func (s *Store) read(ctx context.Context, r resource, as token) (*secrets.Credential, error) {
	client, err := s.client(ctx, r, as)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be asked: %w", r.endpoint, fault.ErrUnavailable)
	}
	got, err := client.AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: r.name}, gax.WithRetry(once))
	if err != nil {
		return nil, explain(ctx, err, fmt.Errorf("%s answers with something else than a secret: %w", r.endpoint, fault.ErrUnavailable))
	}
	data := got.GetPayload().GetData()
	defer clear(data)
	version, ok := r.answers(got.GetName())
	switch {
	case !ok:
		return nil, fmt.Errorf("%s answers with something else than this secret: %w", r.endpoint, fault.ErrUnavailable)
	case got.GetPayload() == nil || got.GetPayload().DataCrc32C == nil:
		return nil, fmt.Errorf("%s answers without the secret's content, or without its checksum: %w", r.endpoint, fault.ErrUnavailable)
	case int64(crc32.Checksum(data, castagnoli)) != got.GetPayload().GetDataCrc32C():
		return nil, fmt.Errorf("the secret's content was damaged on its way from %s: its checksum is another one: %w", r.endpoint, fault.ErrUnavailable)
	}
	cred, err := secrets.ParseContent(data)
	if err != nil {
		return nil, err
	}
	cred.Version = version
	return cred, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// once keeps the SDK from trying again, which it does for longer than anybody
// waits. The fence tries again.
func once() gax.Retryer { return nil }

// client is the SDK's, for one endpoint and one token.
func (s *Store) client(ctx context.Context, r resource, as token) (*secretmanager.Client, error) {
	f := &fence{
		name: r.endpoint, via: s.service, pauses: s.pauses,
		place: func(req *http.Request) bool {
			// Here, so that the SDK never sees it.
			req.Header.Set("Authorization", "Bearer "+as.value)
			return req.URL.Scheme == "https" && req.URL.Host == r.endpoint && strings.HasPrefix(req.URL.Path, "/v1/projects/")
		},
		judge: func(status int, _ http.Header, body []byte) error { return r.judge(status, body, as.who) },
	}
	return secretmanager.NewRESTClient(ctx,
		option.WithEndpoint("https://"+r.endpoint),
		option.WithHTTPClient(&http.Client{Transport: f}),
		option.WithLogger(discard),
		// With GOOGLE_API_USE_CLIENT_CERTIFICATE in the environment the SDK
		// looks for a client certificate, and runs a program that has one. It
		// does not where it has got a source; but a client and a source
		// together it takes only unseen.
		option.WithClientCertSource(noCertificate),
		internaloption.SkipDialSettingsValidation(),
	)
}

// noCertificate is never asked: the SDK has got a client that it would be for.
func noCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return nil, errors.New("no client certificates here")
}

// judge says in our words why there is no secret.
func (r resource) judge(status int, body []byte, who string) error {
	if status == http.StatusOK {
		return nil
	}
	said := googleAnswer(body)
	switch {
	case status == http.StatusUnauthorized:
		return &unauthorizedError{r.endpoint, who, said}
	case status == http.StatusForbidden && said.meaning() != "":
		return fmt.Errorf("%s refuses %s: %s (%s): %w", r.endpoint, who, said.meaning(), said, fault.ErrDenied)
	case status == http.StatusForbidden:
		// Who may not read a secret is not told whether there is one.
		return fmt.Errorf("%s refuses %s: it may not read this secret, or there is no such secret or project: %w", r.endpoint, who, fault.ErrDenied)
	case status == http.StatusNotFound:
		return fmt.Errorf("%s has no such secret, or no such version of it: %w", r.endpoint, fault.ErrNotFound)
	case said.code == "FAILED_PRECONDITION":
		return fmt.Errorf("%s does not give the version out: %s: %w", r.endpoint, said.state(), fault.ErrDenied)
	case status == http.StatusBadRequest:
		return fmt.Errorf("%s does not understand the request (%s): %w", r.endpoint, said.or("400"), fault.ErrMalformed)
	}
	return unavailable(r.endpoint, status, said.code)
}

// unauthorizedError is Secret Manager's refusal of a token.
type unauthorizedError struct {
	endpoint, who string
	said          said
}

func (e *unauthorizedError) Error() string {
	why := ""
	if m := e.said.meaning(); m != "" {
		why = ": " + m
	}
	return fmt.Sprintf("%s does not accept the token of %s%s: %v", e.endpoint, e.who, why, fault.ErrDenied)
}

func (*unauthorizedError) Unwrap() error { return fault.ErrDenied }
