package vault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/kubelab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// signed is a JSON web token (RFC 7519) of the claims, by ES256.
func signed(t *testing.T, key *ecdsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	body, err := json.Marshal(claims)
	must(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + encode(body)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	must(t, err)
	return text + "." + encode(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func TestLogInByJWT(t *testing.T) {
	l, ctx := startLab(t), t.Context()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	mountAuth(t, l, "jwt", "ci/jwt")
	must(t, l.Policy(ctx, "gmsa-agent", example(t, "gmsa-agent-kv.hcl")))
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	must(t, l.Write(ctx, "auth/ci/jwt/config", map[string]any{"jwt_validation_pubkeys": []string{public}}))
	must(t, l.Write(ctx, "auth/ci/jwt/role/host", map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"}, "bound_subject": "host1",
		"token_policies": []string{"gmsa-agent"},
	}))
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	claims := func(subject string) map[string]any {
		return map[string]any{"sub": subject, "aud": "vault", "nbf": time.Now().Add(-time.Minute).Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	}
	path := file(t, signed(t, key, claims("host2")))
	s := open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: Auth{Method: "jwt", Mount: "ci/jwt/", Role: "host", TokenFile: path}})
	_, err = s.Fetch(ctx, ref("kv/gmsa/contoso"))
	wantError(t, err, fault.ErrDenied, "log in by jwt")
	must(t, os.WriteFile(path, []byte(signed(t, key, claims("host1"))), 0o644)) // as kubelet writes them
	wantPassword(t, s, ref("kv/gmsa/contoso"), "one")
}

func TestLogInByCertificate(t *testing.T) {
	l, ctx := startLab(t), t.Context()
	mountAuth(t, l, "cert", "cert")
	must(t, l.Policy(ctx, "gmsa-agent", example(t, "gmsa-agent-kv.hcl")))
	authority, err := os.ReadFile(l.CAFile)
	must(t, err)
	must(t, l.Write(ctx, "auth/cert/certs/hosts", map[string]any{
		"certificate": string(authority), "allowed_common_names": []string{"host1"}, "token_policies": []string{"gmsa-agent"},
	}))
	putKV2(t, l, "gmsa/contoso", contoso("one"))
	cert, key, err := l.ClientCertificate("host1")
	must(t, err)
	auth := Auth{Method: "cert", Role: "hosts", CertFile: cert, KeyFile: key}
	wantPassword(t, open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: auth}), ref("kv/gmsa/contoso"), "one")

	// The files are read again for the next login.
	otherCert, otherKey, err := l.ClientCertificate("host2")
	must(t, err)
	dir := t.TempDir()
	auth.CertFile, auth.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	s := open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: auth})
	_, err = s.Fetch(ctx, ref("kv/gmsa/contoso"))
	wantError(t, err, fault.ErrUnavailable, auth.KeyFile)
	install := func(cert, key string) {
		t.Helper()
		for from, to := range map[string]string{cert: auth.CertFile, key: auth.KeyFile} {
			data, err := os.ReadFile(from)
			must(t, err)
			must(t, os.WriteFile(to, data, 0o600))
		}
	}
	install(otherCert, otherKey)
	_, err = s.Fetch(ctx, ref("kv/gmsa/contoso"))
	wantError(t, err, fault.ErrDenied, "log in by cert")
	s.mu.Lock()
	s.denied = denial{} // what the pause is for, another test shows
	s.mu.Unlock()
	install(cert, key)
	wantPassword(t, s, ref("kv/gmsa/contoso"), "one")

	install(cert, otherKey)
	s = open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: auth})
	_, err = s.Fetch(ctx, ref("kv/gmsa/contoso"))
	wantError(t, err, fault.ErrUnavailable, "no certificate and its key")
	must(t, os.Chmod(auth.KeyFile, 0o644))
	_, err = s.Fetch(ctx, ref("kv/gmsa/contoso"))
	wantError(t, err, fault.ErrUnavailable, auth.KeyFile)
}

// The API server is real, too: Vault asks it whose the token is.
func TestLogInByKubernetes(t *testing.T) {
	l, ctx := startLab(t), t.Context()
	if err := kubelab.Ready(); err != nil {
		t.Skip(err)
	}
	k, err := kubelab.Start(ctx, kubelab.Options{Report: lab.Report(t)})
	must(t, err)
	t.Cleanup(func() { must(t, k.Stop()) })
	must(t, k.Apply(ctx, []byte(`
apiVersion: v1
kind: Namespace
metadata: {name: gmsa-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: gmsa-agent, namespace: gmsa-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: vault, namespace: gmsa-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: vault}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:auth-delegator"}
subjects: [{kind: ServiceAccount, name: vault, namespace: gmsa-system}]
`)))
	reviewer, err := k.Token(ctx, "gmsa-system", "vault", 10*time.Minute)
	must(t, err)
	authority, err := os.ReadFile(k.CAFile)
	must(t, err)
	mountAuth(t, l, "kubernetes", "kubernetes")
	must(t, l.Policy(ctx, "gmsa-agent", example(t, "gmsa-agent-kv.hcl")))
	must(t, l.Write(ctx, "auth/kubernetes/config", map[string]any{
		"kubernetes_host": k.URL, "kubernetes_ca_cert": string(authority), "token_reviewer_jwt": reviewer,
	}))
	must(t, l.Write(ctx, "auth/kubernetes/role/hosts", map[string]any{
		"bound_service_account_names": "gmsa-agent", "bound_service_account_namespaces": "gmsa-system", "token_policies": "gmsa-agent",
	}))
	putKV2(t, l, "gmsa/contoso", contoso("one"))

	// A pod's volume, as a HostProcess container sees it.
	sandbox := t.TempDir()
	t.Setenv("CONTAINER_SANDBOX_MOUNT_POINT", sandbox)
	dir := filepath.Join(sandbox, "var", "run", "secrets", "kubernetes.io", "serviceaccount")
	must(t, os.MkdirAll(dir, 0o755))
	mount := func(account string) {
		t.Helper()
		token, err := k.Token(ctx, "gmsa-system", account, 10*time.Minute)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o644))
	}
	s := open(t, Config{Address: l.URL, CAFile: l.CAFile, Auth: Auth{Method: "kubernetes", Role: "hosts"}})
	mount("vault")
	_, err = s.Fetch(ctx, ref("kv/gmsa/contoso"))
	wantError(t, err, fault.ErrDenied, "log in by kubernetes")
	mount("gmsa-agent")
	lab.Eventually(t, "the login", func(ctx context.Context) error {
		_, err := s.Fetch(ctx, ref("kv/gmsa/contoso"))
		return err
	})
	wantPassword(t, s, ref("kv/gmsa/contoso"), "one")
}

func TestAServerThatIsSealedStoppedOrGoneIsUnavailable(t *testing.T) {
	l, ctx := startOwnLab(t), t.Context()
	putKV2(t, l, "contoso", contoso("one"))
	s := as(t, l, l.Root)
	wantPassword(t, s, ref("kv/contoso"), "one")

	must(t, l.Seal(ctx))
	_, err := s.Fetch(ctx, ref("kv/contoso"))
	wantError(t, err, fault.ErrUnavailable, "503", "Vault is sealed")
	must(t, l.Unseal(ctx))
	lab.Eventually(t, "the secret", func(ctx context.Context) error {
		_, err := s.Fetch(ctx, ref("kv/contoso"))
		return err
	})

	must(t, l.Pause())
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err = s.Fetch(short, ref("kv/contoso"))
	wantError(t, err, fault.ErrUnavailable, context.DeadlineExceeded.Error())
	must(t, l.Resume())
	wantPassword(t, s, ref("kv/contoso"), "one")

	must(t, l.Kill())
	_, err = s.Fetch(ctx, ref("kv/contoso"))
	wantError(t, err, fault.ErrUnavailable, s.host, "nobody listens there")
	must(t, l.StartServer(ctx))
	must(t, l.Unseal(ctx))
	lab.Eventually(t, "the secret", func(ctx context.Context) error {
		_, err := s.Fetch(ctx, ref("kv/contoso"))
		return err
	})
}

func TestAVaultThatLimitsRequestsIsWaitedFor(t *testing.T) {
	l := startOwnLab(t)
	putKV2(t, l, "contoso", contoso("one"))
	s := as(t, l, l.Root)
	s.pauses = []time.Duration{time.Second, 2 * time.Second} // longer than the quota's interval
	must(t, l.Write(t.Context(), "sys/quotas/rate-limit/all", map[string]any{"rate": 1, "interval": "1s"}))
	wantPassword(t, s, ref("kv/contoso"), "one") // takes three requests
}
