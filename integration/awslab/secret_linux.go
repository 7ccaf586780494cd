package awslab

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go/logging"
)

// Secret is a secret of Secrets Manager.
type Secret struct {
	Name   string
	Text   string
	Binary []byte   // instead of Text, if it is not nil
	Stages []string // of the new version; nil: AWSCURRENT
}

// PutSecret stores a secret, or a new version of it. It returns the secret's
// ARN and the version's id.
func (l *Lab) PutSecret(ctx context.Context, s Secret) (arn, version string, err error) {
	client := l.secrets()
	var text *string
	if s.Binary == nil {
		text = &s.Text
	}
	replace := func() (string, string, error) {
		put, err := client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &s.Name, SecretString: text, SecretBinary: s.Binary, VersionStages: s.Stages})
		if err != nil {
			return "", "", err
		}
		return aws.ToString(put.ARN), aws.ToString(put.VersionId), nil
	}
	if arn, version, err = replace(); err == nil {
		return arn, version, nil
	}
	if _, absent := errors.AsType[*types.ResourceNotFoundException](err); !absent {
		return "", "", err
	}
	if s.Stages != nil {
		return "", "", fmt.Errorf("the first version of %s has no stages to choose", s.Name)
	}
	made, err := client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &s.Name, SecretString: text, SecretBinary: s.Binary})
	if _, there := errors.AsType[*types.ResourceExistsException](err); there {
		// moto closes a connection now and then after it has done its work: the
		// SDK has tried again what had been done.
		return replace()
	}
	if err != nil {
		return "", "", err
	}
	return aws.ToString(made.ARN), aws.ToString(made.VersionId), nil
}

// DeleteSecret removes a secret, or marks it for deletion if it can be restored.
func (l *Lab) DeleteSecret(ctx context.Context, name string, restorable bool) error {
	in := &secretsmanager.DeleteSecretInput{SecretId: &name}
	if restorable {
		in.RecoveryWindowInDays = aws.Int64(7) // the least that there is
	} else {
		in.ForceDeleteWithoutRecovery = aws.Bool(true)
	}
	_, err := l.secrets().DeleteSecret(ctx, in)
	return err
}

func (l *Lab) secrets() *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &l.URL, Region: Region, HTTPClient: http.DefaultClient, Logger: logging.Nop{}, Credentials: anybody,
	})
}

// anybody has credentials of the form that moto wants.
var anybody = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "anybody", SecretAccessKey: "anything"}, nil
})
