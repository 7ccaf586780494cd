package awsclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/aws/smithy-go"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestNewRefusesWhatCanNeverWork(t *testing.T) {
	for name, c := range map[string]Config{
		"credentials":        {Credentials: "environment"},
		"region":             {Region: "eu-west-1.evil.example/"},
		"service":            {Endpoints: map[string]string{"iam": "https://x"}},
		"endpoint":           {Endpoints: map[string]string{"s3": "minio:9000"}},
		"in the clear":       {Endpoints: map[string]string{"secretsmanager": "http://10.0.0.1"}},
		"endpoint with user": {Endpoints: map[string]string{"s3": "https://canary@minio"}},
	} {
		if _, err := New(c); !errors.Is(err, fault.ErrMalformed) || bytes.Contains([]byte(err.Error()), []byte("canary")) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, c := range map[string]Config{
		"the zero configuration": {},
		"this host":              {Endpoints: map[string]string{"s3": "http://localhost:9000", "sts": "http://[::1]:1"}},
		"another's metadata":     {Endpoints: map[string]string{"imds": "http://10.0.0.1"}},
	} {
		if _, err := New(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARegionIsTheReferencesOrTheConfiguredOne(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg              Config
		named, partition string
		want             string
		kind             error
	}{
		"named":             {Config{Region: "eu-west-1"}, "us-east-1", "aws", "us-east-1", nil},
		"configured":        {Config{Region: "eu-west-1"}, "", "", "eu-west-1", nil},
		"china":             {Config{Region: "cn-north-1"}, "", "aws-cn", "cn-north-1", nil},
		"government":        {Config{}, "us-gov-west-1", "aws-us-gov", "us-gov-west-1", nil},
		"another partition": {Config{Region: "eu-west-1"}, "", "aws-cn", "", fault.ErrMalformed},
		"a host":            {Config{}, "evil.example/?", "aws", "", fault.ErrMalformed},
		"none":              {Config{Credentials: "web_identity"}, "", "", "", errors.ErrUnsupported},
	} {
		c, err := New(tt.cfg)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Region(t.Context(), tt.named, tt.partition)
		if got != tt.want || tt.kind == nil && err != nil || !errors.Is(err, tt.kind) {
			t.Errorf("%s: %q, %v, want %q, %v", name, got, err, tt.want, tt.kind)
		}
	}
}

func TestAnAnswerIsReadUpToItsBound(t *testing.T) {
	for _, extra := range []int{-1, 0, 1, 1000} {
		body := &boundedBody{io.NopCloser(bytes.NewReader(make([]byte, maxAnswer+extra))), maxAnswer}
		n, err := io.Copy(io.Discard, struct{ io.Reader }{body})
		if want := min(maxAnswer, maxAnswer+extra); int(n) != want || (extra > 0) != errors.Is(err, errTooLong) {
			t.Errorf("%d bytes: read %d, %v", maxAnswer+extra, n, err)
		}
	}
}

func TestWhoWaitsForALoadCanGiveUp(t *testing.T) {
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.SDK(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestStatusesHaveTheirKinds(t *testing.T) {
	for status, kind := range map[int]error{
		http.StatusBadRequest: fault.ErrMalformed, http.StatusUnauthorized: fault.ErrDenied, http.StatusForbidden: fault.ErrDenied,
		http.StatusNotFound: fault.ErrNotFound, http.StatusRequestTimeout: fault.ErrUnavailable, http.StatusTooManyRequests: fault.ErrUnavailable,
		http.StatusInternalServerError: fault.ErrUnavailable, http.StatusBadGateway: fault.ErrUnavailable, http.StatusTemporaryRedirect: fault.ErrUnavailable,
	} {
		if got := kindOf(status, "Unheard0f"); got != kind {
			t.Errorf("%d: %v, want %v", status, got, kind)
		}
	}
}

func TestARefusalIsOfTheKeyOrOfWhatItEncrypts(t *testing.T) {
	for name, tt := range map[string]struct {
		code, words string
		ofKey       bool
		kind        error
	}{
		"Secrets Manager's":       {"DecryptionFailure", "", true, fault.ErrDenied},
		"Systems Manager's":       {"InvalidKeyId", "", true, fault.ErrDenied},
		"S3's":                    {"KMS.DisabledException", "", true, fault.ErrDenied},
		"others'":                 {"KMSAccessDeniedException", "", true, fault.ErrDenied},
		"by its action":           {"AccessDenied", "is not authorized to perform: kms:Decrypt", true, fault.ErrDenied},
		"by its words":            {"AccessDeniedException", "Access to KMS is not allowed", true, fault.ErrDenied},
		"not of the key":          {"AccessDeniedException", "is not authorized to perform: ssm:GetParameter on parameter/KMS", false, fault.ErrDenied},
		"no refusal":              {"KMS.ThrottlingException", "", false, fault.ErrUnavailable},
		"no refusal either":       {"KMSInternalException", "", false, fault.ErrUnavailable},
		"of something that isn't": {"ResourceNotFoundException", "kms:", false, fault.ErrNotFound},
	} {
		err := &smithy.GenericAPIError{Code: tt.code, Message: tt.words}
		if OfKey(err) != tt.ofKey || kindOf(http.StatusBadRequest, tt.code) != tt.kind {
			t.Errorf("%s: %t, %v", name, OfKey(err), kindOf(http.StatusBadRequest, tt.code))
		}
	}
	if OfKey(errors.New("kms:")) {
		t.Error("an error that is not AWS's is of a key")
	}
}
