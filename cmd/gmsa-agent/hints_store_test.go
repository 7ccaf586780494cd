package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

func TestAHintIsAboutTheStoreOfTheReference(t *testing.T) {
	status := func(code int, reason metav1.StatusReason) error {
		return &kubeclient.StatusError{Server: "api", Code: code, Reason: reason}
	}
	s := newSession(nil, &bytes.Buffer{}, &bytes.Buffer{})
	for _, c := range []struct {
		scheme string
		err    error
		want   string
	}{
		{"kubernetes", status(http.StatusUnauthorized, metav1.StatusReasonUnauthorized), "exchange the token"},
		{"kubernetes", status(http.StatusForbidden, metav1.StatusReasonForbidden), "kubectl auth can-i get secrets/contoso --namespace gmsa --as USER"},
		{"kubernetes", status(http.StatusNotFound, metav1.StatusReasonNotFound), "kubectl get secrets --namespace gmsa"},
		{"kubernetes", fault.ErrDenied, "secrets.kubernetes and kubernetes"}, // a namespace that is not listed
		{"vault", errors.ErrUnsupported, "say what it takes in secrets.vault (docs/stores/vault.md)"},
		{"azurekeyvault", fault.ErrDenied, "in secrets.azurekeyvault, and which rights that takes in docs/stores/azurekeyvault.md"},
		{"awssecretsmanager", fault.ErrUnavailable, "in aws (docs/stores/awssecretsmanager.md)"},
		{"awsssm", fault.ErrMalformed, "secret check awsssm://gmsa/contoso"},
		{"gcpsecretmanager", &outbound.CertificateError{Problem: "is of another name"}, "that CA's certificate (docs/stores/gcpsecretmanager.md)"},
		{"vault", fault.ErrNotFound, ""}, // what is there, only Vault's own tools know
		{"local", fault.ErrNotFound, "secret list"},
		{"local", fault.ErrUnavailable, ""},
	} {
		err := &secrets.Error{Op: "fetch", Ref: secrets.Ref{Scheme: c.scheme, Rest: "gmsa/contoso"}, Err: fmt.Errorf("there: %w", c.err)}
		if hint := s.hint(err); (hint == "") != (c.want == "") || !strings.Contains(hint, c.want) {
			t.Errorf("%v: hint %q, want %q in it", err, hint, c.want)
		}
	}
}
