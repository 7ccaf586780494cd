package awsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// expiryWindow is how long before their end credentials are fetched anew, as
// the SDK has it for those of instances and containers.
const expiryWindow = 5 * time.Minute

// sessionName is what CloudTrail shows of the agent that took on a role.
const sessionName = "gmsa-agent"

// provider is where credentials come from. It asks nobody yet.
func (c *Client) provider(sdk aws.Config) (aws.CredentialsProvider, error) {
	p := provider{from: c.cfg.Credentials}
	switch c.cfg.Credentials {
	case instance:
		p.CredentialsProvider = ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = c.imds().client })
	case container:
		inner, err := containerProvider(sdk)
		if err != nil {
			return nil, err
		}
		p.CredentialsProvider = inner
	case webIdentity:
		inner, err := c.webIdentity(sdk)
		if err != nil {
			return nil, err
		}
		p.CredentialsProvider = inner
	case profile:
		inner, err := c.profile()
		if err != nil {
			return nil, err
		}
		p.CredentialsProvider = inner
	}
	return p, nil
}

// provider gives the failures of another provider their words and fault kind.
// Its caching strategy, where it has one, stays.
type provider struct {
	aws.CredentialsProvider
	from string
}

// Retrieve implements aws.CredentialsProvider.
func (p provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	creds, err := p.CredentialsProvider.Retrieve(ctx)
	if err == nil && !creds.HasKeys() {
		err = errors.New("the answer has no keys")
	}
	if err != nil {
		return aws.Credentials{}, &credentialsError{p.from, err}
	}
	return creds, nil
}

// HandleFailToRefresh implements aws.HandleFailRefreshCredentialsCacheStrategy.
func (p provider) HandleFailToRefresh(ctx context.Context, old aws.Credentials, err error) (aws.Credentials, error) {
	if s, ok := p.CredentialsProvider.(aws.HandleFailRefreshCredentialsCacheStrategy); ok {
		return s.HandleFailToRefresh(ctx, old, err)
	}
	return aws.Credentials{}, err
}

// AdjustExpiresBy implements aws.AdjustExpiresByCredentialsCacheStrategy.
func (p provider) AdjustExpiresBy(creds aws.Credentials, d time.Duration) (aws.Credentials, error) {
	if s, ok := p.CredentialsProvider.(aws.AdjustExpiresByCredentialsCacheStrategy); ok {
		return s.AdjustExpiresBy(creds, d)
	}
	creds.Expires = creds.Expires.Add(d)
	return creds, nil
}

// metadata is the instance's metadata service, version 2: without a session
// token nothing is asked.
type metadata struct{ client *imds.Client }

// The service's address on every instance.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
const imdsEndpoint = "http://169.254.169.254"

func newMetadata(endpoint string) *metadata {
	if endpoint == "" {
		endpoint = imdsEndpoint // else the SDK looks into the environment
	}
	return &metadata{imds.New(imds.Options{
		Endpoint:          endpoint,
		ClientEnableState: imds.ClientEnabled, // so too here
		EnableFallback:    aws.FalseTernary,
		HTTPClient:        metadataClient(),
		Retryer:           newRetryer(),
		Logger:            logging.Nop{},
	})}
}

func (m *metadata) region(ctx context.Context) (string, error) {
	out, err := m.client.GetRegion(ctx, nil)
	if err != nil {
		return "", explain(ctx, &credentialsError{instance, err})
	}
	return out.Region, nil
}

// webIdentity exchanges a token of a Kubernetes service account for a role's
// credentials.
func (c *Client) webIdentity(sdk aws.Config) (aws.CredentialsProvider, error) {
	role, file := c.cfg.RoleARN, c.cfg.TokenFile
	if role == "" {
		role = os.Getenv("AWS_ROLE_ARN")
	}
	if file == "" {
		file = os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE")
	}
	switch {
	case role == "":
		return nil, unconfigured("aws credentials %q have no role (aws.role_arn, or AWS_ROLE_ARN)", webIdentity)
	case file == "":
		return nil, unconfigured("aws credentials %q have no token (aws.token_file, or AWS_WEB_IDENTITY_TOKEN_FILE)", webIdentity)
	case c.cfg.Region == "":
		return nil, unconfigured("aws credentials %q need a region to ask in (aws.region)", webIdentity)
	}
	client := sts.NewFromConfig(sdk, func(o *sts.Options) {
		o.Region = c.cfg.Region
		o.BaseEndpoint = c.Endpoint("sts")
	})
	return stscreds.NewWebIdentityRoleProvider(client, role, tokenFile(file), func(o *stscreds.WebIdentityRoleOptions) {
		o.RoleSessionName = sessionName
	}), nil
}

// tokenFile is a file with a token, which is read each time: whoever put it
// there renews it.
type tokenFile string

// maxToken bounds a token. A projected service account's token has 1 to 2 KiB;
// EKS allows 16 KiB.
const maxToken = 64 << 10

// GetIdentityToken implements stscreds.IdentityTokenRetriever.
func (f tokenFile) GetIdentityToken() ([]byte, error) {
	token, err := f.GetToken()
	return []byte(token), err
}

// GetToken implements endpointcreds.AuthTokenProvider.
func (f tokenFile) GetToken() (string, error) {
	data, err := readFile(string(f), maxToken)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0 {
		return "", fmt.Errorf("%s has no token: %w", string(f), fault.ErrUnavailable)
	}
	return token, nil
}

// readFile reads a regular file that is not too long. Whatever is wrong may be
// right later, so it is fault.ErrUnavailable.
func readFile(path string, most int) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, plain(err), fault.ErrUnavailable)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %w", path, plain(err), fault.ErrUnavailable)
	case len(data) > most:
		return nil, fmt.Errorf("%s is longer than %d bytes: %w", path, most, fault.ErrUnavailable)
	}
	return data, nil
}

// openRegular opens what is a regular file: a pipe would hold up the open.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return os.Open(path)
}

// plain is a file's error without the path, which stands before it already.
func plain(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}
