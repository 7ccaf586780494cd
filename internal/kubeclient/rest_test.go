package kubeclient

import (
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// canary stands in credentials, and must not be in any error.
const canary = "canary"

func write(t *testing.T, path, data string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type fields = map[string]any

// kubeconfig is one with the context "first", and an empty one, "second".
func kubeconfig(t *testing.T, cluster, user fields) string {
	t.Helper()
	data, err := yaml.Marshal(fields{
		"apiVersion": "v1", "kind": "Config", "current-context": "first",
		"clusters": []any{fields{"name": "c", "cluster": cluster}, fields{"name": "d", "cluster": fields{"server": "https://second.example:6443"}}},
		"users":    []any{fields{"name": "u", "user": user}},
		"contexts": []any{
			fields{"name": "first", "context": fields{"cluster": "c", "user": "u"}},
			fields{"name": "second", "context": fields{"cluster": "d"}},
			fields{"name": "dangling", "context": fields{"cluster": "e", "user": "u"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestKubeconfigIsReadWithItsContexts(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), "token-1\n")
	ca := write(t, filepath.Join(dir, "pki", "ca.pem"), "")
	file := write(t, filepath.Join(dir, "kubeconfig"), kubeconfig(t,
		fields{"server": "https://first.example:6443/clusters/a", "certificate-authority": "pki/ca.pem", "tls-server-name": "api"},
		fields{"tokenFile": "token"}))
	cfg, err := Config{Kubeconfig: file}.REST()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Host != "https://first.example:6443/clusters/a" || cfg.CAFile != ca || cfg.ServerName != "api" || cfg.BearerToken != "token-1" {
		t.Errorf("first: %v", cfg)
	}
	cfg, err = Config{Kubeconfig: file, Context: "second"}.REST()
	if err != nil || cfg.Host != "https://second.example:6443" || cfg.BearerToken != "" {
		t.Errorf("second: %v, %v", cfg, err)
	}
}

func TestKubeconfigThatAsksForWhatTheAgentDoesNotDoIsRefused(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "ran")
	tests := map[string]struct {
		cluster, user fields
		kind          error
		words         string
	}{
		"a program": {nil, fields{"exec": fields{
			"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
			"command": "touch", "args": []string{marker}, "env": []fields{{"name": "x", "value": "canary"}},
		}}, errors.ErrUnsupported, "exec plugin"},
		"a provider":         {nil, fields{"auth-provider": fields{"name": "gcp", "config": fields{"access-token": "canary"}}}, errors.ErrUnsupported, "auth-provider"},
		"no verification":    {fields{"server": "https://x", "insecure-skip-tls-verify": true}, nil, errors.ErrUnsupported, "insecure-skip-tls-verify"},
		"plain http":         {fields{"server": "http://api.example"}, fields{"token": "canary"}, errors.ErrUnsupported, "not https"},
		"plain http, by IP":  {fields{"server": "http://192.0.2.1:8080"}, nil, errors.ErrUnsupported, "not https"},
		"no server":          {fields{}, nil, fault.ErrUnavailable, "no server"},
		"another scheme":     {fields{"server": "unix:///x"}, nil, fault.ErrUnavailable, "not https://HOST:PORT"},
		"a user in the URL":  {fields{"server": "https://u:canary@x"}, nil, fault.ErrUnavailable, "not https://HOST:PORT"},
		"no URL":             {fields{"server": "https://[canary"}, nil, fault.ErrUnavailable, "not https://HOST:PORT"},
		"a proxy of no kind": {fields{"server": "https://x", "proxy-url": "ftp://u:canary@x"}, nil, fault.ErrUnavailable, "proxy-url"},
		"no proxy":           {fields{"server": "https://x", "proxy-url": "http://u:canary@x:y"}, nil, fault.ErrUnavailable, "proxy-url"},
		"no token file":      {nil, fields{"tokenFile": "missing"}, fault.ErrUnavailable, "missing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.cluster == nil {
				tt.cluster = fields{"server": "https://x"}
			}
			file := write(t, filepath.Join(t.TempDir(), "kubeconfig"), kubeconfig(t, tt.cluster, tt.user))
			_, err := Config{Kubeconfig: file}.REST()
			wantError(t, err, tt.kind, file, tt.words)
			if _, err := New(Config{Kubeconfig: file}).Get(t.Context(), "/", Object, 1); !errors.Is(err, tt.kind) {
				t.Errorf("Get: %v", err)
			}
		})
	}
	if _, err := os.Stat(marker); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program was run: %v", err)
	}
}

func TestKubeconfigThatCannotBeReadIsUnavailable(t *testing.T) {
	dir := t.TempDir()
	whole := kubeconfig(t, fields{"server": "https://x"}, fields{"token": "canary"})
	for name, tt := range map[string]struct{ file, context, words string }{
		"missing":       {filepath.Join(dir, "missing"), "", ""},
		"a folder":      {dir, "", "not a regular file"},
		"too long":      {write(t, filepath.Join(dir, "long"), whole+strings.Repeat("#", maxKubeconfig)), "", "more than 1048576 bytes"},
		"no YAML":       {write(t, filepath.Join(dir, "text"), "canary: [canary"), "", "cannot be parsed"},
		"cut":           {write(t, filepath.Join(dir, "cut"), "users:\n- name: u\n  user: {token: canary"), "", "cannot be parsed"},
		"another type":  {write(t, filepath.Join(dir, "type"), "users: canary"), "", "cannot be parsed"},
		"empty":         {write(t, filepath.Join(dir, "empty"), ""), "", "no context"},
		"no context":    {write(t, filepath.Join(dir, "whole"), whole), "third", `no context "third"`},
		"no cluster":    {write(t, filepath.Join(dir, "whole"), whole), "dangling", `no cluster "e"`},
		"no such CA":    {write(t, filepath.Join(dir, "ca"), kubeconfig(t, fields{"server": "https://x", "certificate-authority": "missing.pem"}, nil)), "", "missing.pem"},
		"no key":        {write(t, filepath.Join(dir, "key"), kubeconfig(t, fields{"server": "https://x"}, fields{"client-certificate-data": base64.StdEncoding.EncodeToString([]byte("canary"))})), "", "client-key"},
		"no CA in data": {write(t, filepath.Join(dir, "data"), kubeconfig(t, fields{"server": "https://x", "certificate-authority-data": base64.StdEncoding.EncodeToString([]byte("canary"))}, nil)), "", "root certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Config{tt.file, tt.context}).Get(t.Context(), "/", Object, 1)
			wantError(t, err, fault.ErrUnavailable, tt.file, tt.words)
		})
	}
}

func TestKubeconfigMayNameAServerOnThisHostWithoutTLS(t *testing.T) {
	for _, server := range []string{"http://127.0.0.1:8001", "http://[::1]:8001", "http://localhost:8001"} {
		file := write(t, filepath.Join(t.TempDir(), "kubeconfig"), kubeconfig(t, fields{"server": server}, fields{"token": "t"}))
		cfg, err := Config{Kubeconfig: file}.REST()
		if err != nil || cfg.Host != server {
			t.Errorf("%s: %v", server, err)
		} else if cfg.BearerToken != "" {
			t.Errorf("%s: the token would be sent in the clear", server)
		}
	}
}

func TestProxyIsTheKubeconfigsAndNotTheEnvironments(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://environment.example:3128")
	for proxy, want := range map[string]string{"": "<nil>", "http://proxy.example:3128": "http://proxy.example:3128"} {
		cluster := fields{"server": "https://x"}
		if proxy != "" {
			cluster["proxy-url"] = proxy
		}
		file := write(t, filepath.Join(t.TempDir(), "kubeconfig"), kubeconfig(t, cluster, nil))
		cfg, err := Config{Kubeconfig: file}.REST()
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequest(http.MethodGet, "https://x", nil)
		if u, err := cfg.Proxy(req); err != nil || (u == nil && want != "<nil>") || (u != nil && u.String() != want) {
			t.Errorf("%q: %v, %v", proxy, u, err)
		}
	}
}

func TestPodHasItsServiceAccount(t *testing.T) {
	sandbox := t.TempDir()
	dir := filepath.Join(sandbox, "var", "run", "secrets", "kubernetes.io", "serviceaccount")
	env := map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443", "CONTAINER_SANDBOX_MOUNT_POINT": sandbox}
	getenv := func(name string) string { return env[name] }
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}

	_, err := inPod(getenv)
	wantError(t, err, errors.ErrUnsupported, dir, "no service account token")
	write(t, filepath.Join(dir, "token"), "token-1\n")
	_, err = inPod(getenv)
	wantError(t, err, fault.ErrUnavailable, filepath.Join(dir, "ca.crt"))
	write(t, filepath.Join(dir, "ca.crt"), "")
	cfg, err := inPod(getenv)
	if err != nil || cfg.Host != "https://[fd00::1]:443" || cfg.BearerToken != "token-1" || cfg.CAFile != filepath.Join(dir, "ca.crt") {
		t.Errorf("%v, %v", cfg, err)
	}
	write(t, filepath.Join(dir, "token"), strings.Repeat("canary", maxToken))
	_, err = inPod(getenv)
	wantError(t, err, fault.ErrUnavailable, "more than 65536 bytes")

	for _, name := range []string{"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"} {
		_, err = inPod(func(asked string) string {
			if asked == name {
				return ""
			}
			return env[asked]
		})
		wantError(t, err, errors.ErrUnsupported, "does not run in a pod")
	}
}

func wantError(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v, want %v", err, kind)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q, want %q in it", err, word)
		}
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("error %q repeats what is secret", err)
	}
}
