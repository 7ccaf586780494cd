// Package awsclient turns the agent's settings for Amazon Web Services into
// the SDK's, for everything of ours that talks to AWS, and the SDK's errors
// into the project's.
//
// Where credentials come from is said, never guessed: the SDK's chain, which
// takes whatever it finds first in the environment, is not used. Nor does any
// other variable of the environment change where requests go, as whom, or what
// is trusted; the two kinds of credentials that are handed over in the
// environment ("container" and "web_identity") read the variables that say
// where these credentials are, and no more.
//
// It refuses to know what is fetched. Nothing of it is logged, by us or by the
// SDK.
package awsclient

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go/logging"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// Config says as whom to talk to AWS, and where it is.
type Config struct {
	Credentials string // where from: "instance" (IMDSv2), "container" (ECS, EKS Pod Identity), "web_identity", "profile"; empty: "instance"
	Region      string // for references that name none; empty: the instance's own
	Profile     string // of "profile"; empty: "default"
	ProfileFile string // of "profile": a credentials file of the AWS CLI; empty: the user's own
	RoleARN     string // of "web_identity"; empty: AWS_ROLE_ARN
	TokenFile   string // of "web_identity"; empty: AWS_WEB_IDENTITY_TOKEN_FILE
	CAFile      string // PEM certificates that sign the endpoints'; empty: the system's
	// Endpoints are URLs by service ("s3", "ssm", "secretsmanager", "sts",
	// "imds"), for those that are not AWS's own: VPC endpoints, MinIO.
	Endpoints map[string]string
	PathStyle bool // buckets in the path and not in the host name, as most servers but AWS want it
}

// The values of Config.Credentials.
const (
	instance    = "instance"
	container   = "container"
	webIdentity = "web_identity"
	profile     = "profile"
)

// services are the names of Config.Endpoints.
var services = []string{"imds", "s3", "secretsmanager", "ssm", "sts"}

// attempts is how often a request is made before its failure is an answer. The
// SDK makes three; whoever waits for a container's start would rather know.
const attempts = 2

// Client is what the configuration says, in the SDK's words. It is made at the
// first use, and then kept with its connections and credentials. It may be used
// by many at once.
type Client struct {
	cfg Config
	web *http.Client // to the services' endpoints

	turn   chan struct{} // held by who loads; a channel, so that others can give up
	sdk    *aws.Config   // nil until loaded
	region string        // the instance's own, once asked
	cache  *aws.CredentialsCache
	imds   func() *metadata
}

// New checks a configuration. It asks nobody and reads nothing yet. It fails
// with fault.ErrMalformed where the configuration is wrong.
func New(c Config) (*Client, error) {
	if c.Credentials == "" {
		c.Credentials = instance
	}
	if !slices.Contains([]string{instance, container, webIdentity, profile}, c.Credentials) {
		return nil, fmt.Errorf("aws credentials %q are none of instance, container, web_identity, profile: %w", c.Credentials, fault.ErrMalformed)
	}
	if c.Region != "" && !regionForm.MatchString(c.Region) {
		return nil, fmt.Errorf("aws region %q does not look like eu-west-1: %w", c.Region, fault.ErrMalformed)
	}
	for _, service := range slices.Sorted(maps.Keys(c.Endpoints)) {
		if !slices.Contains(services, service) {
			return nil, fmt.Errorf("aws endpoint %q is of no service of ours (known are %s): %w", service, strings.Join(services, ", "), fault.ErrMalformed)
		}
		u, err := url.Parse(c.Endpoints[service])
		if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("aws endpoint of %s is not https://HOST: %w", service, fault.ErrMalformed)
		}
		// The metadata service has no TLS anywhere.
		if u.Scheme == "http" && service != "imds" && !outbound.IsLoopback(u.Hostname()) {
			return nil, fmt.Errorf("aws endpoint of %s is not https, which only a server on this host may do without: %w", service, fault.ErrMalformed)
		}
	}
	c.Endpoints = maps.Clone(c.Endpoints)
	web, err := endpointClient(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("aws: %w", err)
	}
	client := &Client{cfg: c, web: web, turn: make(chan struct{}, 1)}
	client.imds = sync.OnceValue(func() *metadata { return newMetadata(client.cfg.Endpoints["imds"]) })
	return client, nil
}

// PathStyle says whether buckets go into the path of URLs.
func (c *Client) PathStyle() bool { return c.cfg.PathStyle }

// Endpoint is the configured URL of a service, for the BaseEndpoint of its SDK
// client; nil for AWS's own.
func (c *Client) Endpoint(service string) *string {
	if e, ok := c.cfg.Endpoints[service]; ok {
		return &e
	}
	return nil
}

// SDK returns the configuration for the SDK's clients: HTTP client,
// credentials, retries, and no log. It has no region; see [Client.Region].
//
// Callers at once load once, and nobody is asked for credentials yet. A failure
// (credentials that the environment does not have) is not remembered. It is
// errors.ErrUnsupported, fault.ErrMalformed or ctx's.
func (c *Client) SDK(ctx context.Context) (aws.Config, error) {
	if err := c.lock(ctx); err != nil {
		return aws.Config{}, err
	}
	defer c.unlock()
	if c.sdk != nil {
		return *c.sdk, nil
	}
	retryer := newRetryer()
	sdk := aws.Config{
		HTTPClient: c.web,
		Retryer:    func() aws.Retryer { return retryer },
		Logger:     logging.Nop{},
	}
	provider, err := c.provider(sdk)
	if err != nil {
		return aws.Config{}, err
	}
	c.cache = aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = expiryWindow })
	sdk.Credentials = c.cache
	c.sdk = &sdk
	return sdk, nil
}

func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts = attempts })
}

// Region decides to which region a request goes: the one that the reference
// names, the configured one, or the instance's own. The last is asked for once,
// and only where the credentials are the instance's too. It must be one of the
// partition ("aws", "aws-cn"), if that is not empty.
//
// It fails with errors.ErrUnsupported where no region is to be had,
// fault.ErrMalformed where it can't be a region or is of another partition, and
// fault.ErrUnavailable where the instance does not answer.
func (c *Client) Region(ctx context.Context, named, partition string) (string, error) {
	region, err := named, error(nil)
	if region == "" {
		region, err = c.ownRegion(ctx)
	}
	switch {
	case err != nil:
		return "", err
	case !regionForm.MatchString(region):
		return "", fmt.Errorf("region %.40q does not look like eu-west-1: %w", region, fault.ErrMalformed)
	case partition != "" && partition != partitionOf(region):
		return "", fmt.Errorf("region %s is not in partition %.20q, in which the reference is: %w", region, partition, fault.ErrMalformed)
	}
	return region, nil
}

func (c *Client) ownRegion(ctx context.Context) (string, error) {
	switch {
	case c.cfg.Region != "":
		return c.cfg.Region, nil
	case c.cfg.Credentials != instance:
		return "", unconfigured("no region is configured (aws.region), and with credentials from %q the instance is not asked for its own", c.cfg.Credentials)
	}
	if err := c.lock(ctx); err != nil {
		return "", err
	}
	defer c.unlock()
	if c.region == "" {
		region, err := c.imds().region(ctx)
		if err != nil {
			return "", fmt.Errorf("the instance's region: %w", err)
		}
		c.region = region
	}
	return c.region, nil
}

func (c *Client) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) unlock() { <-c.turn }

// regionForm is what a region's name looks like: eu-west-1, and the "auto" of
// other servers. It becomes a label of a host name, so nothing else may pass.
var regionForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// partitionOf is AWS's own rule (partitions.json of its SDKs): a region's first
// words say in which partition it is.
func partitionOf(region string) string {
	for _, p := range []struct{ prefix, partition string }{
		{"cn-", "aws-cn"},
		{"us-gov-", "aws-us-gov"},
		{"us-iso-", "aws-iso"},
		{"us-isob-", "aws-iso-b"},
		{"eu-isoe-", "aws-iso-e"},
		{"us-isof-", "aws-iso-f"},
		{"eusc-", "aws-eusc"},
	} {
		if strings.HasPrefix(region, p.prefix) {
			return p.partition
		}
	}
	return "aws"
}
