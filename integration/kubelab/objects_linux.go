package kubelab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// DeleteAPI removes the GMSACredentialSpec API, with all objects of it, and
// returns when it is gone. Apply of its manifest brings it back.
func (l *Lab) DeleteAPI(ctx context.Context) error {
	return l.delete(ctx, kinds["apiextensions.k8s.io/v1/CustomResourceDefinition"]+"/gmsacredentialspecs.windows.k8s.io")
}

// PutSpec stores a document, which is a JSON object, as a GMSACredentialSpec;
// one of that name is replaced.
func (l *Lab) PutSpec(ctx context.Context, name string, document []byte) error {
	return l.put(ctx, specs, map[string]any{
		"apiVersion": "windows.k8s.io/v1", "kind": "GMSACredentialSpec",
		"credspec": json.RawMessage(document),
	}, name)
}

// DeleteSpec removes a GMSACredentialSpec.
func (l *Lab) DeleteSpec(ctx context.Context, name string) error {
	return l.delete(ctx, specs+"/"+name)
}

// PutSecret stores a Secret; one of that name is replaced.
func (l *Lab) PutSecret(ctx context.Context, namespace, name string, data map[string][]byte) error {
	return l.put(ctx, secrets(namespace), map[string]any{"apiVersion": "v1", "kind": "Secret", "data": data}, name)
}

// Secret returns what is in a Secret.
func (l *Lab) Secret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	var secret struct{ Data map[string][]byte }
	err := l.do(ctx, http.MethodGet, secrets(namespace)+"/"+name, nil, &secret)
	return secret.Data, err
}

// SecretVersion returns the UID and the resource version of a Secret, with a
// slash in between; empty if there is no Secret of that name.
func (l *Lab) SecretVersion(ctx context.Context, namespace, name string) (string, error) {
	var secret struct {
		Metadata struct{ UID, ResourceVersion string }
	}
	err := l.do(ctx, http.MethodGet, secrets(namespace)+"/"+name, nil, &secret)
	switch {
	case code(err) == http.StatusNotFound:
		return "", nil
	case err != nil:
		return "", err
	}
	return secret.Metadata.UID + "/" + secret.Metadata.ResourceVersion, nil
}

// DeleteSecret removes a Secret.
func (l *Lab) DeleteSecret(ctx context.Context, namespace, name string) error {
	return l.delete(ctx, secrets(namespace)+"/"+name)
}

func secrets(namespace string) string { return fmt.Sprintf(kinds["v1/Secret"], namespace) }

// Namespace makes a namespace, if there is none of that name.
func (l *Lab) Namespace(ctx context.Context, name string) error {
	return l.apply(ctx, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}})
}

// ServiceAccount makes a service account, if there is none of that name, in a
// namespace that there is.
func (l *Lab) ServiceAccount(ctx context.Context, namespace, name string) error {
	return l.apply(ctx, map[string]any{
		"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"namespace": namespace, "name": name},
	})
}

// Token returns a token of a service account that is valid for so long, ten
// minutes at least; without audiences, for the API server.
func (l *Lab) Token(ctx context.Context, namespace, name string, ttl time.Duration, audiences ...string) (string, error) {
	request := map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"spec": map[string]any{"audiences": audiences, "expirationSeconds": int(ttl.Seconds())},
	}
	var answer struct{ Status struct{ Token string } }
	path := fmt.Sprintf(kinds["v1/ServiceAccount"], namespace) + "/" + name + "/token"
	err := l.do(ctx, http.MethodPost, path, request, &answer)
	return answer.Status.Token, err
}

// put creates the object, or replaces the one of that name.
func (l *Lab) put(ctx context.Context, path string, object map[string]any, name string) error {
	object["metadata"] = map[string]any{"name": name}
	err := l.do(ctx, http.MethodPost, path, object, nil)
	if code(err) != http.StatusConflict {
		return err
	}
	var old struct {
		Metadata struct{ ResourceVersion string }
	}
	if err := l.do(ctx, http.MethodGet, path+"/"+name, nil, &old); err != nil {
		return err
	}
	object["metadata"] = map[string]any{"name": name, "resourceVersion": old.Metadata.ResourceVersion}
	return l.do(ctx, http.MethodPut, path+"/"+name, object, nil)
}

// delete removes an object and waits until it is gone.
func (l *Lab) delete(ctx context.Context, path string) error {
	if err := l.do(ctx, http.MethodDelete, path, nil, nil); err != nil {
		return err
	}
	return lab.WaitFor(ctx, "the end of "+path, func(ctx context.Context) error {
		switch err := l.do(ctx, http.MethodGet, path, nil, nil); {
		case err == nil:
			return errors.New("still there")
		case code(err) == http.StatusNotFound:
			return nil
		default:
			return err
		}
	})
}
