package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
)

func TestAHintIsAboutTheSourceOfTheReference(t *testing.T) {
	const name = "webapp01"
	unsupported := fmt.Errorf("x: %w", errors.ErrUnsupported)
	status := func(code int, reason metav1.StatusReason) error {
		return &kubeclient.StatusError{Server: "api", Code: code, Reason: reason}
	}
	s := newSession(nil, &bytes.Buffer{}, &bytes.Buffer{})
	for _, c := range []struct {
		scheme string
		err    error
		want   string
	}{
		{"kubernetes", unsupported, "kubernetes.kubeconfig"},
		{"kubernetes", &kubeclient.StatusError{Code: http.StatusNotFound, NoAPI: true}, "kubectl apply -f deploy/kubernetes/gmsacredentialspecs.yaml"},
		{"kubernetes", status(http.StatusUnauthorized, metav1.StatusReasonUnauthorized), "exchange the token"},
		{"kubernetes", status(http.StatusForbidden, metav1.StatusReasonForbidden), "kubectl auth can-i get gmsacredentialspecs.windows.k8s.io/webapp01 "},
		{"kubernetes", status(http.StatusNotFound, metav1.StatusReasonNotFound), "kubectl get gmsacredentialspecs.windows.k8s.io"},
		{"kubernetes", status(http.StatusServiceUnavailable, ""), ""},
		{"s3", &awsclient.UnconfiguredError{Problem: "x"}, "docs/sources/s3.md"},
		{"s3", unsupported, "save the document as a file"}, // an access point
		{"ssm", &awsclient.UnconfiguredError{Problem: "x"}, "docs/sources/ssm.md"},
		{"ssm", fault.ErrDenied, "config show"},
		{"oci", fault.ErrDenied, "credential_specs.oci"},
		{"oci", fault.ErrNotFound, ""},
		{"registry", unsupported, "save the document as a file"},
		{"file", fault.ErrNotFound, "credential_specs.folders"},
	} {
		err := &credspec.ResolveError{Ref: credspec.Ref{Scheme: c.scheme, Rest: name}, Err: fmt.Errorf("there: %w", c.err)}
		if hint := s.hint(err); (hint == "") != (c.want == "") || !strings.Contains(hint, c.want) {
			t.Errorf("%v: hint %q, want %q in it", err, hint, c.want)
		}
	}
}
