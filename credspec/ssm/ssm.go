// Package ssm resolves references to credential specs in AWS Systems Manager's
// parameter store: ssm://NAME and arn:aws:ssm:REGION:ACCOUNT:parameter/NAME.
//
// It reads one parameter and nothing else. Who the agent is for that, and where
// the service is, is internal/awsclient's business.
package ssm

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Scheme is the scheme of its references.
const Scheme = "ssm"

// Source gets parameters. Its tags are their versions, with the time at which
// they were written: a parameter that is deleted and made again begins at
// version 1 again.
type Source struct{ aws *awsclient.Client }

var _ credspec.Revalidator = (*Source)(nil)

// New returns the source over a client, which others may use too. It asks
// nobody yet.
func New(client *awsclient.Client) *Source { return &Source{client} }

// Resolve gets the value of the parameter that ref names, decrypted. A list of
// strings is fault.ErrMalformed.
func (s *Source) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	return s.Revalidate(ctx, ref, "")
}

// Revalidate implements credspec.Revalidator. The service has no question that
// is cheaper than the parameter itself, of at most 8 KiB: the answer is compared.
func (s *Source) Revalidate(ctx context.Context, ref credspec.Ref, tag string) (credspec.Document, error) {
	p, err := parse(ref.Rest)
	if err != nil {
		return credspec.Document{}, err
	}
	doc, err := s.get(ctx, p)
	switch {
	case err != nil:
		return credspec.Document{}, fmt.Errorf("parameter %s: %w", p.name, err)
	case tag != "" && tag == doc.Tag:
		return credspec.Document{}, credspec.ErrUnchanged
	}
	doc.Ref = ref
	return doc, nil
}

func (s *Source) get(ctx context.Context, p parameter) (credspec.Document, error) {
	sdk, err := s.aws.SDK(ctx)
	if err != nil {
		return credspec.Document{}, err
	}
	region, err := s.aws.Region(ctx, p.region, p.partition)
	if err != nil {
		return credspec.Document{}, err
	}
	client := ssm.NewFromConfig(sdk, func(o *ssm.Options) {
		o.Region = region
		o.BaseEndpoint = s.aws.Endpoint("ssm")
	})
	out, err := client.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.name, WithDecryption: aws.Bool(true)})
	if err != nil {
		return credspec.Document{}, fmt.Errorf("region %s: %w", region, s.explain(ctx, err))
	}
	got := out.Parameter
	switch {
	case got == nil || got.Value == nil:
		return credspec.Document{}, fmt.Errorf("region %s: the answer has no value: %w", region, fault.ErrUnavailable)
	case got.Type == types.ParameterTypeStringList:
		return credspec.Document{}, fmt.Errorf("is a StringList in region %s; a credential spec is a String or a SecureString: %w", region, fault.ErrMalformed)
	case len(*got.Value) > credspec.MaxSize:
		return credspec.Document{}, fmt.Errorf("is longer than %d bytes: %w", credspec.MaxSize, fault.ErrMalformed)
	}
	return credspec.Document{
		Data:   []byte(*got.Value),
		Origin: fmt.Sprintf("parameter %s version %d (%s)", p.name, got.Version, region),
		Tag:    tagOf(got),
	}, nil
}

// tagOf names a parameter's value: its version and, in milliseconds, when it
// was written.
func tagOf(p *types.Parameter) string {
	if p.Version == 0 {
		return ""
	}
	tag := strconv.FormatInt(p.Version, 10)
	if p.LastModifiedDate != nil {
		tag += "@" + strconv.FormatInt(p.LastModifiedDate.UnixMilli(), 10)
	}
	return tag
}

// explain says what the agent lacks, as far as the service says it.
func (s *Source) explain(ctx context.Context, failed error) error {
	err := s.aws.Fault(ctx, failed)
	switch code := awsclient.Code(failed); {
	case ctx.Err() != nil:
		return err
	case awsclient.OfKey(failed):
		return fmt.Errorf("the KMS key that it is encrypted with can't be used (the agent needs kms:Decrypt): %w", err)
	case code == "AccessDeniedException":
		return fmt.Errorf("the agent may not read it (ssm:GetParameter): %w", err)
	}
	return err
}
