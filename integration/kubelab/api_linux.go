package kubelab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"go.yaml.in/yaml/v4"
)

// specs is where the GMSACredentialSpec objects are.
const specs = "/apis/windows.k8s.io/v1/gmsacredentialspecs"

// kinds are the API paths of what Apply takes; %s is the namespace.
var kinds = map[string]string{
	"v1/Namespace":      "/api/v1/namespaces",
	"v1/ServiceAccount": "/api/v1/namespaces/%s/serviceaccounts",
	"v1/Secret":         "/api/v1/namespaces/%s/secrets",
	"apiextensions.k8s.io/v1/CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
	"rbac.authorization.k8s.io/v1/ClusterRole":         "/apis/rbac.authorization.k8s.io/v1/clusterroles",
	"rbac.authorization.k8s.io/v1/ClusterRoleBinding":  "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
	"rbac.authorization.k8s.io/v1/Role":                "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/roles",
	"rbac.authorization.k8s.io/v1/RoleBinding":         "/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings",
	"windows.k8s.io/v1/GMSACredentialSpec":             specs,
	"windows.k8s.io/v1alpha1/GMSACredentialSpec":       "/apis/windows.k8s.io/v1alpha1/gmsacredentialspecs",
}

// APIError is an answer of the API server that is none of the 200s.
type APIError struct {
	Code    int
	Message string
}

func (e *APIError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// code is the status of an answer, 0 if there was none.
func code(err error) int {
	if e, ok := errors.AsType[*APIError](err); ok {
		return e.Code
	}
	return 0
}

// do asks the API server as administrator. in and out are JSON values, and may
// be nil.
func (l *Lab) do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	return l.send(ctx, method, path, "application/json", body, out)
}

func (l *Lab) send(ctx context.Context, method, path, contentType string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, l.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := l.admin.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or the error is the read's
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		var status struct{ Message string }
		if json.Unmarshal(data, &status) != nil || status.Message == "" {
			status.Message = string(bytes.TrimSpace(data))
		}
		return fmt.Errorf("%s %s: %w", method, path, &APIError{resp.StatusCode, status.Message})
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

// Apply creates or updates the objects of a manifest, as `kubectl apply
// --server-side` does: YAML, one document or several.
func (l *Lab) Apply(ctx context.Context, manifest []byte) error {
	objects := yaml.NewDecoder(bytes.NewReader(manifest))
	for {
		var object map[string]any
		err := objects.Decode(&object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.apply(ctx, object); err != nil {
			return err
		}
	}
}

func (l *Lab) apply(ctx context.Context, object map[string]any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	var is struct {
		APIVersion, Kind string
		Metadata         struct{ Namespace, Name string }
	}
	if err := json.Unmarshal(body, &is); err != nil {
		return err
	}
	path, known := kinds[is.APIVersion+"/"+is.Kind]
	if !known {
		return fmt.Errorf("the lab cannot apply a %s of %s", is.Kind, is.APIVersion)
	}
	if is.Metadata.Namespace != "" {
		path = fmt.Sprintf(path, is.Metadata.Namespace)
	}
	path += "/" + url.PathEscape(is.Metadata.Name) + "?fieldManager=kubelab&force=true"
	// JSON is YAML.
	return l.send(ctx, http.MethodPatch, path, "application/apply-patch+yaml", body, nil)
}
