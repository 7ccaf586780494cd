// Package s3 resolves references to credential specs in S3, and in servers that
// speak its language: s3://BUCKET/KEY and arn:aws:s3:::BUCKET/KEY.
//
// It reads one object and nothing else: no listing, no earlier versions, no
// access points. Who the agent is for that, and where S3 is, is
// internal/awsclient's business.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Scheme is the scheme of its references.
const Scheme = "s3"

// Source gets objects. Its tags are their ETags.
type Source struct{ aws *awsclient.Client }

var _ credspec.Revalidator = (*Source)(nil)

// New returns the source over a client, which others may use too. It asks
// nobody yet.
func New(client *awsclient.Client) *Source { return &Source{client} }

// Resolve gets the object that ref names. What the agent has no permission to
// read is fault.ErrDenied, and so is, for AWS, an object that does not exist in
// a bucket that the agent may not list.
func (s *Source) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	return s.Revalidate(ctx, ref, "")
}

// Revalidate implements credspec.Revalidator. An unchanged object is not
// transferred.
func (s *Source) Revalidate(ctx context.Context, ref credspec.Ref, tag string) (credspec.Document, error) {
	obj, err := parse(ref.Rest)
	if err != nil {
		return credspec.Document{}, err
	}
	doc, err := s.get(ctx, obj, tag)
	if err != nil && !errors.Is(err, credspec.ErrUnchanged) {
		return credspec.Document{}, fmt.Errorf("%v: %w", obj, err)
	}
	doc.Ref = ref
	return doc, err
}

func (s *Source) get(ctx context.Context, obj object, tag string) (credspec.Document, error) {
	sdk, err := s.aws.SDK(ctx)
	if err != nil {
		return credspec.Document{}, err
	}
	region, err := s.aws.Region(ctx, "", obj.partition)
	if err != nil {
		return credspec.Document{}, err
	}
	doc, err := s.getFrom(ctx, sdk, region, obj, tag)
	if other := bucketRegion(err); other != "" && other != region {
		// S3 says in which region the bucket is, whoever asks. The region has
		// to pass the same checks as any other.
		if other, err = s.aws.Region(ctx, other, obj.partition); err != nil {
			return credspec.Document{}, err
		}
		doc, err = s.getFrom(ctx, sdk, other, obj, tag)
	}
	if failed, ok := errors.AsType[*failure](err); ok {
		err = s.explain(ctx, obj, failed)
	}
	return doc, err
}

// failure is an error of the SDK, before it is explained.
type failure struct {
	region string
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func (s *Source) getFrom(ctx context.Context, sdk aws.Config, region string, obj object, tag string) (credspec.Document, error) {
	client := s3.NewFromConfig(sdk, func(o *s3.Options) {
		o.Region = region
		o.BaseEndpoint = s.aws.Endpoint("s3")
		o.UsePathStyle = s.aws.PathStyle()
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	in := &s3.GetObjectInput{Bucket: &obj.bucket, Key: &obj.key, ChecksumMode: types.ChecksumModeEnabled}
	if isETag(tag) {
		in.IfNoneMatch = &tag
	}
	out, err := client.GetObject(ctx, in)
	switch {
	case awsclient.Status(err) == http.StatusNotModified && in.IfNoneMatch != nil:
		return credspec.Document{}, credspec.ErrUnchanged
	case err != nil:
		return credspec.Document{}, &failure{region, err}
	}
	defer out.Body.Close()
	size := aws.ToInt64(out.ContentLength)
	if size > credspec.MaxSize {
		return credspec.Document{}, errTooLong
	}
	// The SDK compares the checksum that S3 has of the object at its end.
	data, err := io.ReadAll(io.LimitReader(out.Body, credspec.MaxSize+1))
	switch {
	case ctx.Err() != nil:
		return credspec.Document{}, ctx.Err()
	case err != nil:
		return credspec.Document{}, fmt.Errorf("the object came incomplete or damaged: %w", fault.ErrUnavailable)
	case len(data) > credspec.MaxSize:
		return credspec.Document{}, errTooLong
	case out.ContentLength != nil && int64(len(data)) != size:
		return credspec.Document{}, fmt.Errorf("%d bytes came of %d: %w", len(data), size, fault.ErrUnavailable)
	}
	return credspec.Document{Data: data, Origin: fmt.Sprintf("%v (%s)", obj, region), Tag: aws.ToString(out.ETag)}, nil
}

// isETag says whether a tag can be one of ours: RFC 9110's, which fits into a
// header.
func isETag(tag string) bool {
	return tag != "" && strings.IndexFunc(tag, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

var errTooLong = fmt.Errorf("is longer than %d bytes: %w", credspec.MaxSize, fault.ErrMalformed)

// explain says what was not found or not allowed, as far as S3 says it.
func (s *Source) explain(ctx context.Context, obj object, f *failure) error {
	err := s.aws.Fault(ctx, f.err)
	switch code := awsclient.Code(f.err); {
	case ctx.Err() != nil:
		return err
	case code == "NoSuchBucket":
		return fmt.Errorf("there is no bucket %s: %w", obj.bucket, err)
	case code == "NoSuchKey":
		return fmt.Errorf("bucket %s has no such object: %w", obj.bucket, err)
	case code == "InvalidObjectState":
		return fmt.Errorf("the object is archived and has to be restored first: %w", err)
	case awsclient.OfKey(f.err):
		return fmt.Errorf("the KMS key that the object is encrypted with can't be used (the agent needs kms:Decrypt): %w", err)
	case code == "AccessDenied":
		return fmt.Errorf("the agent may not read it (s3:GetObject), or it does not exist and the agent may not know (s3:ListBucket): %w", err)
	case bucketRegion(f.err) != "" && bucketRegion(f.err) != f.region:
		return fmt.Errorf("the bucket is in region %q, asked was %s: %w", bucketRegion(f.err), f.region, err)
	}
	return err
}

// bucketRegion is the region in which S3 says that the bucket is, where it
// could not answer for that reason.
func bucketRegion(err error) string {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response == nil || resp.HTTPStatusCode() != http.StatusMovedPermanently && resp.HTTPStatusCode() != http.StatusBadRequest {
		return ""
	}
	return resp.Response.Header.Get("X-Amz-Bucket-Region")
}
