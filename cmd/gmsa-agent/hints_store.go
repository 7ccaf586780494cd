package main

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/awssecretsmanager"
	"github.com/gmsa-agent/gmsa-agent/secrets/awsssm"
	"github.com/gmsa-agent/gmsa-agent/secrets/kubernetes"
)

// ofStore is the hint for a secret that could not be had of a store that is not
// on this host: what is configured of it, and the page that says what it needs.
func ofStore(s *session, err error) string {
	about, _ := errors.AsType[*secrets.Error](err)
	page := "docs/stores/" + about.Ref.Scheme + ".md"
	settings := "secrets." + about.Ref.Scheme
	switch about.Ref.Scheme {
	case awssecretsmanager.Scheme, awsssm.Scheme:
		settings = "aws"
	case kubernetes.Scheme:
		if hint := ofClusterSecret(s, about); hint != "" {
			return hint
		}
		settings += " and kubernetes"
	}
	switch {
	case as[*outbound.CertificateError](about):
		return "if its CA is to be trusted, name the file with that CA's certificate (" + page + "), then: " + s.again("config validate")
	case errors.Is(about, errors.ErrUnsupported):
		return "say what it takes in " + settings + " (" + page + "), then: " + s.again("config validate")
	case errors.Is(about, fault.ErrDenied):
		return "what may be asked for and as whom is said in " + settings + ", and which rights that takes in " + page + ": " + s.again("config show")
	case errors.Is(about, fault.ErrMalformed):
		return "the forms that a secret may have are in docs/secrets.md; mend it where it is kept, then: " + s.again("secret check "+quoted(about.Ref.String()))
	case errors.Is(about, fault.ErrUnavailable):
		return "where it is asked and as whom is said in " + settings + " (" + page + "): " + s.again("config show")
	}
	return ""
}

// ofClusterSecret is the hint for a Kubernetes Secret of which the API server
// itself has said something. What the cluster's administrator types is kubectl's.
func ofClusterSecret(s *session, about *secrets.Error) string {
	namespace, name, _ := strings.Cut(about.Ref.Rest, "/")
	answer, _ := errors.AsType[*kubeclient.StatusError](about)
	switch {
	case answer == nil:
		return ""
	case answer.Code == http.StatusUnauthorized:
		return "exchange the token or the certificate that the kubeconfig names; which one that is: " + s.again("config show")
	case errors.Is(answer, fault.ErrDenied):
		return "give that user the right to get it (docs/stores/kubernetes.md), then: kubectl auth can-i get secrets/" + name + " --namespace " + namespace + " --as USER"
	case errors.Is(answer, fault.ErrNotFound):
		return "see which there are: kubectl get secrets --namespace " + namespace
	}
	return ""
}

// refError says that what a command was given is no reference to a secret. It
// quotes nothing of it: by mistake it may be a password.
type refError struct{ err error }

func (e *refError) Error() string { return e.err.Error() }
func (e *refError) Unwrap() error { return e.err }

// secretRef reads the reference that a command is given.
func secretRef(text string) (secrets.Ref, error) {
	ref, err := secrets.ParseRef(text)
	if err != nil {
		return ref, &refError{err}
	}
	return ref, nil
}

func ofSecretRef(s *session, _ error) string {
	return "a reference is local://NAME, vault://MOUNT/PATH or another of docs/secrets.md; see what the local store has: " + s.again("secret list")
}
