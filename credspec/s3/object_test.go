package s3

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestParseReadsBothForms(t *testing.T) {
	for text, want := range map[string]object{
		"bucket/key":                       {"bucket", "key", ""},
		"my.bucket/a/b c/ü.json":           {"my.bucket", "a/b c/ü.json", ""},
		"bucket//key":                      {"bucket", "/key", ""},
		"Old_Bucket/k?versionId=1":         {"Old_Bucket", "k?versionId=1", ""},
		"arn:aws:s3:::bucket/a/b":          {"bucket", "a/b", "aws"},
		"arn:aws-us-gov:s3:::bucket/a:b/c": {"bucket", "a:b/c", "aws-us-gov"},
	} {
		got, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(object{})); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestParseRefusesWhatCanBeNoObject(t *testing.T) {
	for text, kind := range map[string]error{
		"ab/k":                                fault.ErrMalformed,
		"a..b/k":                              fault.ErrMalformed,
		"user@host/k":                         fault.ErrMalformed,
		"host:443/k":                          fault.ErrMalformed,
		"-bucket/k":                           fault.ErrMalformed,
		"b%75cket/k":                          fault.ErrMalformed,
		strings.Repeat("b", 256) + "/k":       fault.ErrMalformed,
		"bucket/":                             fault.ErrMalformed,
		"bucket":                              fault.ErrMalformed,
		"bucket/" + strings.Repeat("k", 1025): fault.ErrMalformed,
		"arn:aws:s3":                          fault.ErrMalformed,
		"bucket--usw2-az1--x-s3/k":            errors.ErrUnsupported,
		"arn:aws:s3:eu-west-1:123456789012:accesspoint/name/object/k": errors.ErrUnsupported,
	} {
		if got, err := parse(text); !errors.Is(err, kind) {
			t.Errorf("%.60s: %v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"bucket/key", "arn:aws:s3:::bucket/key", "my.bucket//k", "arn:aws:s3:eu-west-1:1:accesspoint/a/object/k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o, err := parse(s)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%q: error %v has no kind", s, err)
			}
			return
		}
		if o.key == "" || strings.Trim(o.bucket, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" || !strings.HasSuffix(s, o.bucket+"/"+o.key) {
			t.Errorf("%q: %+v", s, o)
		}
	})
}

// A name with dots in a host name is covered by no certificate of S3's.
func TestBucketsAreAskedForWhereS3HasThem(t *testing.T) {
	for _, tt := range []struct {
		ref, region, endpoint string
		pathStyle             bool
		want                  string
	}{
		{"bucket/a b/ü.json", "eu-west-1", "", false, "https://bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC.json"},
		{"my.bucket/k", "eu-west-1", "", false, "https://s3.eu-west-1.amazonaws.com/my.bucket/k"},
		{"arn:aws-cn:s3:::bucket/k", "cn-north-1", "", false, "https://bucket.s3.cn-north-1.amazonaws.com.cn/k"},
		{"bucket/k", "us-gov-west-1", "", false, "https://bucket.s3.us-gov-west-1.amazonaws.com/k"},
		{"bucket//k?x#y", "eu-west-1", "", true, "https://s3.eu-west-1.amazonaws.com/bucket//k%3Fx%23y"},
		{"bucket/../k", "eu-west-1", "https://minio.example:9000", true, "https://minio.example:9000/bucket/../k"},
	} {
		cfg := awsclient.Config{Region: tt.region, PathStyle: tt.pathStyle}
		if tt.endpoint != "" {
			cfg.Endpoints = map[string]string{"s3": tt.endpoint}
		}
		client, err := awsclient.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		o, err := parse(tt.ref)
		if err != nil {
			t.Fatal(err)
		}
		var asked string
		sdk := aws.Config{
			HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
				asked, _, _ = strings.Cut(r.URL.String(), "?x-id=")
				return nil, errors.New("not sent")
			}),
			RetryMaxAttempts: 1,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "A", SecretAccessKey: "b"}, nil
			}),
		}
		if _, err := (&Source{client}).getFrom(t.Context(), sdk, tt.region, o, ""); err == nil {
			t.Error("no error")
		}
		if asked != tt.want {
			t.Errorf("%s: asked %s, want %s", tt.ref, asked, tt.want)
		}
	}
}

type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(r *http.Request) (*http.Response, error) { return f(r) }
