package awsclient

import (
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// The variables in which ECS and EKS Pod Identity say where a container's
// credentials are.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
const (
	relativeURI = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
	fullURI     = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	authFile    = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
	authToken   = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
)

// containerProvider asks the agent of ECS or EKS beside the container. The
// relative URI comes before the full one, and the file before the token, as
// the SDKs have it.
func containerProvider(sdk aws.Config) (aws.CredentialsProvider, error) {
	endpoint, plainHTTP, err := containerEndpoint(os.Getenv(relativeURI), os.Getenv(fullURI))
	if err != nil {
		return nil, err
	}
	token, file := os.Getenv(authToken), os.Getenv(authFile)
	return endpointcreds.New(endpoint, func(o *endpointcreds.Options) {
		o.HTTPClient = sdk.HTTPClient
		if plainHTTP {
			o.HTTPClient = containerClient()
		}
		o.Retryer = sdk.Retryer()
		o.AuthorizationToken = token
		if file != "" {
			o.AuthorizationTokenProvider = tokenFile(file)
		}
	}), nil
}

// containerEndpoint is the URL to ask, and whether it is plain HTTP, for which
// few hosts are allowed. The path of a URL is as good as a password on the
// task's network and is in no error.
func containerEndpoint(relative, full string) (endpoint string, plainHTTP bool, err error) {
	if relative != "" {
		if !strings.HasPrefix(relative, "/") {
			return "", false, fmt.Errorf("%s does not begin with a slash: %w", relativeURI, fault.ErrMalformed)
		}
		full = "http://" + containerHosts[0].String() + relative
	}
	if full == "" {
		return "", false, unconfigured("aws credentials %q: neither %s nor %s is in the environment; the agent runs in no task of ECS and in no pod with an identity",
			container, relativeURI, fullURI)
	}
	u, err := url.Parse(full)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return "", false, fmt.Errorf("%s is no URL: %w", fullURI, fault.ErrMalformed)
	}
	return full, u.Scheme == "http", nil
}
