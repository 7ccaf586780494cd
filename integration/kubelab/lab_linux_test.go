package kubelab

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

func start(t *testing.T) *Lab {
	t.Helper()
	if err := Ready(); err != nil {
		t.Skip(err)
	}
	l, err := Start(t.Context(), Options{Report: lab.Report(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(l.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the lab's folder is left behind: %v", err)
		}
	})
	return l
}

func TestLabStoresCredentialSpecsAndSecrets(t *testing.T) {
	l := start(t)
	for _, document := range []string{`{"DomainJoinConfig":{"DnsName":"contoso.com"}}`, `{}`} {
		if err := l.PutSpec(t.Context(), "webapp01", []byte(document)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.DeleteSpec(t.Context(), "webapp01"); err != nil {
		t.Error(err)
	}
	if err := l.PutSecret(t.Context(), "default", "contoso", map[string][]byte{"username": []byte("svc")}); err != nil {
		t.Fatal(err)
	}
	if data, err := l.Secret(t.Context(), "default", "contoso"); err != nil || !bytes.Equal(data["username"], []byte("svc")) {
		t.Errorf("Secret = %q, %v", data, err)
	}
	if err := l.DeleteSecret(t.Context(), "default", "contoso"); err != nil {
		t.Error(err)
	}
	if _, err := l.Secret(t.Context(), "default", "contoso"); code(err) != http.StatusNotFound {
		t.Errorf("after the delete: %v", err)
	}
}

func TestLabGivesTokensOfServiceAccounts(t *testing.T) {
	l := start(t)
	if err := errors.Join(l.Namespace(t.Context(), "apps"), l.ServiceAccount(t.Context(), "apps", "web")); err != nil {
		t.Fatal(err)
	}
	token, err := l.Token(t.Context(), "apps", "web", 10*time.Minute)
	if err != nil || token == "" {
		t.Errorf("Token: %v", err)
	}
}

func TestLabServerComesBackWithItsContents(t *testing.T) {
	l := start(t)
	if err := l.PutSpec(t.Context(), "webapp01", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	url := l.URL
	if err := l.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := l.do(t.Context(), http.MethodGet, specs, nil, nil); err == nil || code(err) != 0 {
		t.Errorf("a server that was killed answers: %v", err)
	}
	if err := l.StartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.URL != url {
		t.Errorf("the server has moved from %s to %s", url, l.URL)
	}
	lab.Eventually(t, "the object", func(ctx context.Context) error {
		return l.do(ctx, http.MethodGet, specs+"/webapp01", nil, nil)
	})
}

func TestLabIsReadyOnlyWithItsServersBuilt(t *testing.T) {
	t.Setenv("GMSA_AGENT_LAB_CACHE", t.TempDir())
	if err := Ready(); err == nil || !strings.Contains(err.Error(), "make lab-kube") {
		t.Errorf("Ready = %v", err)
	}
}
