package main

import (
	"errors"
	"net/http"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/kubernetes"
	"github.com/gmsa-agent/gmsa-agent/credspec/oci"
	"github.com/gmsa-agent/gmsa-agent/credspec/s3"
	"github.com/gmsa-agent/gmsa-agent/credspec/ssm"
	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
)

// ofSource is the hint for a document that could not be had, where that depends
// on its source.
func ofSource(s *session, err error) string {
	about, _ := errors.AsType[*credspec.ResolveError](err)
	switch about.Ref.Scheme {
	case kubernetes.Scheme:
		return ofCluster(s, about)
	case s3.Scheme, ssm.Scheme:
		switch {
		case as[*awsclient.UnconfiguredError](about):
			return "say in aws where credentials and region are from (docs/sources/" + about.Ref.Scheme + ".md), then: " + s.again("config validate")
		case errors.Is(about, fault.ErrDenied):
			return "as whom AWS is asked is said in aws, and what that may need in docs/sources/" + about.Ref.Scheme + ".md: " + s.again("config show")
		}
	case oci.Scheme:
		if errors.Is(about, fault.ErrDenied) {
			return "which registries are asked, and as whom, is said in credential_specs.oci: " + s.again("config show")
		}
	}
	return ""
}

// ofCluster is the hint for a GMSACredentialSpec. What the cluster's
// administrator types is kubectl's.
func ofCluster(s *session, about *credspec.ResolveError) string {
	const objects = "gmsacredentialspecs.windows.k8s.io"
	answer, _ := errors.AsType[*kubeclient.StatusError](about)
	switch {
	case errors.Is(about, errors.ErrUnsupported):
		return "name a kubeconfig that the agent can use as kubernetes.kubeconfig (docs/sources/kubernetes.md), then: " + s.again("config validate")
	case answer == nil:
		return ""
	case answer.NoAPI:
		return "have the cluster know such objects: kubectl apply -f deploy/kubernetes/gmsacredentialspecs.yaml"
	case answer.Code == http.StatusUnauthorized:
		return "exchange the token or the certificate that the kubeconfig names; which one that is: " + s.again("config show")
	case errors.Is(answer, fault.ErrDenied):
		return "give that user the right to get it (docs/sources/kubernetes.md), then: kubectl auth can-i get " + objects + "/" + about.Ref.Rest + " --as USER"
	case errors.Is(answer, fault.ErrNotFound):
		return "see which there are: kubectl get " + objects
	}
	return ""
}
