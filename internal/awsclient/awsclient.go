// Package awsclient turns the agent's settings for Amazon Web Services into
// the SDK's, for everything of ours that talks to AWS.
//
// Where credentials come from is said, never guessed: the SDK's chain, which
// takes whatever it finds first in the environment, is not used.
package awsclient

// Config says as whom to talk to AWS, and where it is.
type Config struct {
	Credentials string // where from: "instance" (IMDSv2), "container" (ECS, EKS Pod Identity), "web_identity", "profile"
	Region      string // for references that name none; empty: the instance's own
	Profile     string // of "profile"; empty: "default"
	ProfileFile string // of "profile": a credentials file of the AWS CLI
	RoleARN     string // of "web_identity"; empty: AWS_ROLE_ARN
	TokenFile   string // of "web_identity"; empty: AWS_WEB_IDENTITY_TOKEN_FILE
	CAFile      string // PEM certificates that sign the endpoints'; empty: the system's
	// Endpoints are URLs by service ("s3", "ssm", "secretsmanager", "sts",
	// "imds"), for those that are not AWS's own: VPC endpoints, MinIO.
	Endpoints map[string]string
	PathStyle bool // buckets in the path and not in the host name, as most servers but AWS want it
}
