package vaultlab

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

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

func TestLabHasEveryEngineAndMethod(t *testing.T) {
	l, ctx := start(t), t.Context()
	for _, err := range []error{
		l.KV(ctx, "kv1", 1), l.KV(ctx, "kv2", 2), l.LDAP(ctx, "ldap"), l.AD(ctx, "ad"),
		l.Auth(ctx, "approle", "approle"), l.Auth(ctx, "jwt", "jwt"), l.Auth(ctx, "cert", "cert"), l.Auth(ctx, "kubernetes", "kubernetes"),
		l.Write(ctx, "kv1/contoso", map[string]any{"username": "svc"}),
		l.Write(ctx, "kv2/data/contoso", map[string]any{"data": map[string]any{"username": "svc"}}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if data, err := l.Read(ctx, "kv1/contoso"); err != nil || data["username"] != "svc" {
		t.Errorf("read %v, %v", data, err)
	}
	if err := l.Delete(ctx, "kv1/contoso"); err != nil {
		t.Error(err)
	}
	if _, err := l.Read(ctx, "kv1/contoso"); Code(err) != http.StatusNotFound {
		t.Errorf("after the delete: %v", err)
	}
}

func TestLabComesBackWithItsContentsSealed(t *testing.T) {
	l, ctx := start(t), t.Context()
	if err := errors.Join(l.KV(ctx, "kv", 1), l.Write(ctx, "kv/contoso", map[string]any{"username": "svc"})); err != nil {
		t.Fatal(err)
	}
	url := l.URL
	if err := l.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(ctx, "kv/contoso"); err == nil || Code(err) != 0 {
		t.Errorf("a server that was killed answers: %v", err)
	}
	if err := l.StartServer(ctx); err != nil {
		t.Fatal(err)
	}
	if l.URL != url {
		t.Errorf("the server has moved from %s to %s", url, l.URL)
	}
	if _, err := l.Read(ctx, "kv/contoso"); Code(err) != http.StatusServiceUnavailable {
		t.Errorf("sealed: %v", err)
	}
	if err := l.Unseal(ctx); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "the secret", func(ctx context.Context) error {
		_, err := l.Read(ctx, "kv/contoso")
		return err
	})
}

func TestLabIsReadyOnlyWithItsProgramsBuilt(t *testing.T) {
	t.Setenv("GMSA_AGENT_LAB_CACHE", t.TempDir())
	if err := Ready(); err == nil || !strings.Contains(err.Error(), "make lab-vault") {
		t.Errorf("Ready = %v", err)
	}
}
