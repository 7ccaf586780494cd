package awsssm

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// question is what a reference asks for.
type question struct {
	name              string // as GetParameter takes it: a name, or a whole ARN
	partition, region string // of an ARN; else the region that the reference names, if any
}

// ask reads a reference. Its errors wrap fault.ErrMalformed.
//
// An ARN goes to the service as it is: the ARNs of "name" and "/name" are the
// same, and a parameter that another account shares can be had by nothing else.
func ask(ref secrets.Ref) (question, error) {
	// Whoever made it without ParseRef has not had it checked.
	if canonical, err := secrets.ParseRef(ref.String()); err != nil || ref.Scheme != Scheme || !canonical.Equal(ref) {
		return question{}, fmt.Errorf("%w: not a reference to a parameter of AWS Systems Manager", fault.ErrMalformed)
	}
	q := question{name: ref.Rest, region: ref.Query.Get("region")}
	if p := strings.Split(ref.Rest, ":"); p[0] == "arn" {
		q.partition, q.region = p[1], p[3]
	}
	return q, nil
}

func (q question) input() *ssm.GetParameterInput {
	return &ssm.GetParameterInput{Name: &q.name, WithDecryption: aws.Bool(true)}
}

// read makes a credential of an answer. The value comes as a string, which
// nobody can overwrite; what is made of it is overwritten here.
func (q question) read(p *types.Parameter) (*secrets.Credential, error) {
	switch {
	case p == nil || p.Value == nil:
		return nil, fmt.Errorf("the answer has no value: %w", fault.ErrUnavailable)
	case !q.names(p):
		return nil, fmt.Errorf("the answer is of another parameter: %w", fault.ErrUnavailable)
	case p.Type == types.ParameterTypeString, p.Type == types.ParameterTypeStringList:
		return nil, fmt.Errorf("%w: it is a %s, which is not encrypted; a secret is a SecureString", fault.ErrMalformed, p.Type)
	case p.Type != types.ParameterTypeSecureString:
		return nil, fmt.Errorf("the answer is of no known type: %w", fault.ErrUnavailable)
	}
	content := []byte(*p.Value)
	defer clear(content)
	cred, err := secrets.ParseContent(content)
	if err != nil {
		return nil, err
	}
	cred.Version = versionOf(p)
	return cred, nil
}

// names says whether the answer's parameter is the one that was asked for. Of
// a shared one, both fields have the ARN.
func (q question) names(p *types.Parameter) bool {
	if q.partition != "" {
		return aws.ToString(p.ARN) == q.name
	}
	return aws.ToString(p.Name) == q.name
}

// versionOf names a parameter's value; empty where the service names no
// version, as for those that it has from Secrets Manager.
func versionOf(p *types.Parameter) string {
	if p.Version <= 0 || p.LastModifiedDate == nil {
		return ""
	}
	return strconv.FormatInt(p.Version, 10) + "@" + p.LastModifiedDate.UTC().Format(time.RFC3339Nano)
}
