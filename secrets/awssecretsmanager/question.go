package awssecretsmanager

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// current is the stage of a secret's version that is in use.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
const current = "AWSCURRENT"

// question is what a reference asks for.
type question struct {
	id                string // a name, or an ARN with or without the service's suffix
	partition, region string // of an ARN; else the region that the reference names, if any
	version, stage    string // one of them
}

// ask reads a reference. Its errors wrap fault.ErrMalformed.
func ask(ref secrets.Ref) (question, error) {
	// Whoever made it without ParseRef has not had it checked.
	if canonical, err := secrets.ParseRef(ref.String()); err != nil || ref.Scheme != Scheme || !canonical.Equal(ref) {
		return question{}, fmt.Errorf("%w: not a reference to a secret of AWS Secrets Manager", fault.ErrMalformed)
	}
	q := question{id: ref.Rest, region: ref.Query.Get("region"), version: ref.Query.Get("version_id"), stage: ref.Query.Get("version_stage")}
	if p := strings.Split(ref.Rest, ":"); p[0] == "arn" {
		q.partition, q.region = p[1], p[3]
	}
	if q.version == "" && q.stage == "" {
		q.stage = current
	}
	return q, nil
}

func (q question) input() *secretsmanager.GetSecretValueInput {
	in := &secretsmanager.GetSecretValueInput{SecretId: &q.id}
	if q.version != "" {
		in.VersionId = &q.version
	} else {
		in.VersionStage = &q.stage
	}
	return in
}

// read makes a credential of an answer. The text of a secret comes as a string,
// which nobody can overwrite; what is made of it is overwritten here.
func (q question) read(out *secretsmanager.GetSecretValueOutput) (*secrets.Credential, error) {
	content := out.SecretBinary
	defer func() { clear(content) }()
	if err := q.check(out); err != nil {
		return nil, err
	}
	if out.SecretString != nil {
		content = []byte(*out.SecretString)
	}
	cred, err := secrets.ParseContent(content)
	if err != nil {
		return nil, err
	}
	cred.Version = aws.ToString(out.VersionId)
	return cred, nil
}

// check refuses what is no answer to the question. No service that works gives
// such, so it is fault.ErrUnavailable.
func (q question) check(out *secretsmanager.GetSecretValueOutput) error {
	var wrong string
	switch version := aws.ToString(out.VersionId); {
	case !q.names(aws.ToString(out.Name), aws.ToString(out.ARN)):
		wrong = "is of another secret"
	case version == "", q.version != "" && version != q.version, q.stage != "" && !slices.Contains(out.VersionStages, q.stage):
		wrong = "is of another version"
	case out.SecretString == nil && out.SecretBinary == nil:
		wrong = "has no value"
	case out.SecretString != nil && out.SecretBinary != nil:
		wrong = "has two values"
	default:
		return nil
	}
	return fmt.Errorf("the answer %s: %w", wrong, fault.ErrUnavailable)
}

// suffix is what the service appends to a name in an ARN: a hyphen and six
// characters. Who names an ARN may leave it out.
const suffix = len("-AbCdEf")

// names says whether the answer's secret is the one that was asked for.
func (q question) names(name, arn string) bool {
	if q.partition == "" {
		return name == q.id
	}
	rest, ok := strings.CutPrefix(arn, q.id)
	return ok && (rest == "" || len(rest) == suffix && rest[0] == '-')
}
