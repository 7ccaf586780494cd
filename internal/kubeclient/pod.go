package kubeclient

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// serviceAccount is where Kubernetes mounts a pod's token and the certificates
// that sign the API server's.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// maxToken bounds a service account token, in bytes: more fits into no header.
const maxToken = 64 << 10

// inPod is who the pod is that the agent runs in.
//
// It is client-go's InClusterConfig with two differences. In a HostProcess
// container the volumes of a pod are below $CONTAINER_SANDBOX_MOUNT_POINT
// (before containerd 1.7 only there), where client-go does not look:
// https://kubernetes.io/docs/tasks/configure-pod-container/create-hostprocess-pod/#volume-mounts
// And where there is no certificate to verify the API server with, it does not
// go on with the system's.
func inPod(getenv func(string) string) (*rest.Config, error) {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errNowhere
	}
	dir := mounted(getenv)
	tokenFile, caFile := filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	token, err := readFile(tokenFile, maxToken)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("the agent's pod has no service account token in %s (automountServiceAccountToken): %w", dir, errors.ErrUnsupported)
	case err != nil:
		return nil, fmt.Errorf("service account token %s: %w: %w", tokenFile, err, fault.ErrUnavailable)
	}
	if !exists(caFile) {
		return nil, fmt.Errorf("there is no %s to verify the API server with: %w", caFile, fault.ErrUnavailable)
	}
	return &rest.Config{
		Host:            "https://" + net.JoinHostPort(host, port),
		BearerToken:     strings.TrimSpace(string(token)),
		BearerTokenFile: tokenFile,
		TLSClientConfig: rest.TLSClientConfig{CAFile: caFile},
	}, nil
}

// ServiceAccountToken is the file that has the token of the service account of
// the pod that the agent runs in, if it runs in one: for others than the API
// server who take such tokens.
func ServiceAccountToken() string { return filepath.Join(mounted(os.Getenv), "token") }

// mounted is the folder of the pod's service account.
func mounted(getenv func(string) string) string {
	dir := filepath.FromSlash(serviceAccount)
	if sandbox := getenv("CONTAINER_SANDBOX_MOUNT_POINT"); sandbox != "" {
		if below := filepath.Join(sandbox, dir); exists(below) {
			return below
		}
	}
	return dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
