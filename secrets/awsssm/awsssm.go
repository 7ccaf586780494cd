// Package awsssm fetches awsssm:// secrets: SecureString parameters of AWS
// Systems Manager's parameter store, by name or ARN.
//
// It makes one kind of request, GetParameter, to the service of the region that
// the reference or the configuration says. Who the agent is for that, and where
// the service is, is internal/awsclient's business. It refuses a password that
// is not encrypted, and refuses to know what a secret is used for.
package awsssm

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// Scheme is the scheme of its references.
const Scheme = "awsssm"

// Store implements secrets.Store. It is safe for use by many goroutines.
type Store struct{ aws *awsclient.Client }

var _ secrets.Store = (*Store)(nil)

// New returns the store over a client, which others may use too. It asks
// nobody yet.
func New(client *awsclient.Client) *Store { return &Store{client} }

// Fetch implements secrets.Store. The version is the parameter's, with the time
// at which it was written: a parameter that is deleted and made again begins at
// version 1 again.
//
// A String or StringList is fault.ErrMalformed, whatever it holds. A KMS key
// that can't be used is fault.ErrDenied.
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
	out, err := s.client(sdk, region).GetParameter(ctx, q.input())
	if err != nil {
		err = s.explain(ctx, err)
	} else if cred, e := q.read(out.Parameter); e == nil {
		return cred, nil
	} else {
		err = e
	}
	return nil, fmt.Errorf("region %s: %w", region, err)
}

// client asks AWS's own endpoint of a region, or the configured one.
func (s *Store) client(sdk aws.Config, region string) *ssm.Client {
	return ssm.NewFromConfig(sdk, func(o *ssm.Options) {
		o.Region = region
		o.BaseEndpoint = s.aws.Endpoint("ssm")
	})
}

// explain says what the agent lacks, as far as the service says it.
func (s *Store) explain(ctx context.Context, failed error) error {
	err := s.aws.Fault(ctx, failed)
	switch {
	case awsclient.OfKey(failed):
		return fmt.Errorf("the KMS key that it is encrypted with can't be used (the agent needs kms:Decrypt): %w", err)
	case awsclient.Code(failed) == "AccessDeniedException":
		return fmt.Errorf("the agent may not read it (ssm:GetParameter): %w", err)
	}
	return err
}
