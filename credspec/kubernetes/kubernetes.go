// Package kubernetes resolves references to GMSACredentialSpec objects of a
// Kubernetes cluster (kubernetes://webapp01).
//
// The API server keeps a credential spec as values, not as text. So what a
// reference resolves to is a text made of the values, always the same one: the
// canonical form of RFC 8785, whose digest can be pinned. Fields that the API
// does not define were dropped when the object was stored.
//
// Which API server, and as whom, is internal/kubeclient's to know.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
)

// Scheme is the scheme of its references.
const Scheme = "kubernetes"

// maxObject bounds what is read of an API server's answer, in bytes: no request
// that stores an object may have more (k8s.io/apiserver, MaxRequestBodyBytes).
const maxObject = 3 << 20

// versions are those of the windows.k8s.io API, the preferred one first; old
// clusters have v1alpha1 only. The fields are the same.
var versions = []string{"v1", "v1alpha1"}

// Config says which API server to talk to, and as whom.
type Config = kubeclient.Config

// Source implements credspec.Source and credspec.Revalidator.
type Source struct{ client *kubeclient.Client }

var _ credspec.Revalidator = (*Source)(nil)

// New returns the source. It asks nobody yet, and cannot fail: what is wrong
// with a kubeconfig is found when it is read, which is for each request.
func New(cfg Config) (*Source, error) { return &Source{kubeclient.New(cfg)}, nil }

// Resolve gets the object that ref names. The document's tag is the object's
// UID and resource version.
func (s *Source) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	object, url, err := s.get(ctx, ref.Rest, kubeclient.Object)
	if err != nil {
		return credspec.Document{}, fmt.Errorf("GMSACredentialSpec %s: %w", ref.Rest, err)
	}
	data, err := object.document()
	if err != nil {
		return credspec.Document{}, fmt.Errorf("GMSACredentialSpec %s at %s: %w", ref.Rest, url, err)
	}
	return credspec.Document{Data: data, Ref: ref, Origin: url, Tag: object.tag}, nil
}

// Revalidate implements credspec.Revalidator: it asks for the object's metadata
// alone, and for the whole only if that is another's.
func (s *Source) Revalidate(ctx context.Context, ref credspec.Ref, tag string) (credspec.Document, error) {
	object, _, err := s.get(ctx, ref.Rest, kubeclient.Metadata)
	if err != nil {
		return credspec.Document{}, fmt.Errorf("GMSACredentialSpec %s: %w", ref.Rest, err)
	}
	if object.tag == tag {
		return credspec.Document{}, credspec.ErrUnchanged
	}
	return s.Resolve(ctx, ref)
}

// get asks for an object in the versions that there are.
func (s *Source) get(ctx context.Context, name, accept string) (*object, string, error) {
	// The parser of references refuses these too; this is the second lock.
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/%?#") {
		return nil, "", fmt.Errorf("no object can have that name: %w", fault.ErrMalformed)
	}
	var answer kubeclient.Answer
	var err error
	for _, version := range versions {
		answer, err = s.client.Get(ctx, "/apis/windows.k8s.io/"+version+"/gmsacredentialspecs/"+name, accept, maxObject)
		if status, ok := errors.AsType[*kubeclient.StatusError](err); !ok || !status.NoAPI {
			break
		}
	}
	if status, ok := errors.AsType[*kubeclient.StatusError](err); ok && status.NoAPI {
		return nil, "", fmt.Errorf("the CRD gmsacredentialspecs.windows.k8s.io is not installed in this cluster: %w", err)
	}
	if err != nil {
		return nil, "", err
	}
	object, err := parse(answer.Body, name)
	if err != nil {
		return nil, "", fmt.Errorf("the answer of %s %w", answer.URL, err)
	}
	return object, answer.URL, nil
}
