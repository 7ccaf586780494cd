package awssecretsmanager

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

type doer func(*http.Request) (*http.Response, error)

func (f doer) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestRequestsGoToAWSsOwnEndpointOrTheConfiguredOne(t *testing.T) {
	for _, tt := range []struct{ ref, endpoint, want string }{
		{"awssecretsmanager://gmsa/contoso", "", "https://secretsmanager.eu-west-1.amazonaws.com/"},
		{"awssecretsmanager://gmsa/contoso?region=us-gov-west-1", "", "https://secretsmanager.us-gov-west-1.amazonaws.com/"},
		{"arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:x", "", "https://secretsmanager.cn-north-1.amazonaws.com.cn/"},
		{"arn:aws-eusc:secretsmanager:eusc-de-east-1:123456789012:secret:x", "", "https://secretsmanager.eusc-de-east-1.amazonaws.eu/"},
		{"arn:aws:secretsmanager:il-central-1:123456789012:secret:x", "", "https://secretsmanager.il-central-1.amazonaws.com/"},
		{"arn:aws:secretsmanager:eu-evil-1:123456789012:secret:x", "", "https://secretsmanager.eu-evil-1.amazonaws.com/"},
		{"arn:aws:secretsmanager:us-east-1:123456789012:secret:x", "https://vpce-1.example", "https://vpce-1.example/"},
	} {
		cfg := awsclient.Config{Region: "eu-west-1"}
		if tt.endpoint != "" {
			cfg.Endpoints = map[string]string{"secretsmanager": tt.endpoint}
		}
		client, err := awsclient.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := secrets.ParseRef(tt.ref)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ask(ref)
		if err != nil {
			t.Fatal(err)
		}
		region, err := client.Region(t.Context(), q.region, q.partition)
		if err != nil {
			t.Fatal(err)
		}
		var asked string
		sdk := aws.Config{
			HTTPClient: doer(func(r *http.Request) (*http.Response, error) {
				asked = r.URL.String()
				return nil, errors.New("not sent")
			}),
			RetryMaxAttempts: 1,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "A", SecretAccessKey: "b"}, nil
			}),
		}
		if _, err := New(client).client(sdk, region).GetSecretValue(t.Context(), q.input()); err == nil || asked != tt.want {
			t.Errorf("%s: asked %s (%v), want %s", tt.ref, asked, err, tt.want)
		}
	}
}
