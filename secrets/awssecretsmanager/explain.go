package awssecretsmanager

import (
	"context"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// explain says what is missing, as far as the service says it.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
func (s *Store) explain(ctx context.Context, failed error) error {
	err := s.aws.Fault(ctx, failed)
	switch code := awsclient.Code(failed); {
	case awsclient.OfKey(failed):
		return fmt.Errorf("the KMS key that it is encrypted with can't be used (the agent needs kms:Decrypt): %w", err)
	case code == "AccessDeniedException":
		return fmt.Errorf("the agent may not read it (secretsmanager:GetSecretValue): %w", err)
	case code == "ResourceNotFoundException" && says(failed, "staging label", "VersionId"):
		return fmt.Errorf("it has no such version: %w", err)
	case code == "InvalidRequestException" && says(failed, "delet"):
		return fmt.Errorf("it is marked for deletion: %d %s: %w", awsclient.Status(failed), code, fault.ErrNotFound)
	}
	return err
}

// says looks into the service's words, which are all that tells some of its
// refusals apart.
func says(err error, words ...string) bool {
	for _, w := range words {
		if strings.Contains(err.Error(), w) {
			return true
		}
	}
	return false
}
