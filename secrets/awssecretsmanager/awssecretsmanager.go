// Package awssecretsmanager fetches awssecretsmanager:// secrets: those of AWS
// Secrets Manager, by name or ARN, of one version each.
//
// It makes one kind of request, GetSecretValue, to the service of the region
// that the reference or the configuration says. Who the agent is for that, and
// where the service is, is internal/awsclient's business. It lists nothing,
// rotates nothing and refuses to know what a secret is used for.
package awssecretsmanager

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "awssecretsmanager"

// Store implements secrets.Store. It is safe for use by many goroutines.
type Store struct{ aws *awsclient.Client }

var _ secrets.Store = (*Store)(nil)

// New returns the store over a client, which others may use too. It asks
// nobody yet.
func New(client *awsclient.Client) *Store { return &Store{client} }

// Fetch implements secrets.Store. The version is the service's VersionId.
//
// A secret that is marked for deletion, and a version that the secret does not
// have (any more), are fault.ErrNotFound. A KMS key that can't be used is
// fault.ErrDenied.
func (s *Store) Fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	cred, err := s.fetch(ctx, ref)
	if err == nil {
		return cred, nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", fault.ErrUnavailable, ctx.Err())
	}
	return nil, &secrets.Error{Op: "fetch", Ref: ref, Err: err}
}

func (s *Store) fetch(ctx context.Context, ref secrets.Ref) (*secrets.Credential, error) {
	q, err := ask(ref)
	if err != nil {
		return nil, err
	}
	sdk, err := s.aws.SDK(ctx)
	if err != nil {
		return nil, err
	}
	region, err := s.aws.Region(ctx, q.region, q.partition)
	if err != nil {
		return nil, err
	}
	out, err := s.client(sdk, region).GetSecretValue(ctx, q.input())
	if err != nil {
		err = s.explain(ctx, err)
	} else if cred, e := q.read(out); e == nil {
		return cred, nil
	} else {
		err = e
	}
	return nil, fmt.Errorf("region %s: %w", region, err)
}

// client asks AWS's own endpoint of a region, or the configured one.
func (s *Store) client(sdk aws.Config, region string) *secretsmanager.Client {
	return secretsmanager.NewFromConfig(sdk, func(o *secretsmanager.Options) {
		o.Region = region
		o.BaseEndpoint = s.aws.Endpoint("secretsmanager")
	})
}
