package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/credspec/kubernetes"
	"github.com/gmsa-agent/gmsa-agent/integration/kubelab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// cluster is started by the first test that needs it and stopped after the last
// one. Tests that take it down start one of their own.
var cluster struct {
	sync.Once
	lab *kubelab.Lab
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if cluster.lab != nil {
		if err := cluster.lab.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func startLab(t *testing.T) *kubelab.Lab {
	t.Helper()
	if err := kubelab.Ready(); err != nil {
		t.Skip(err)
	}
	cluster.Do(func() {
		cluster.lab, cluster.err = kubelab.Start(context.Background(), kubelab.Options{Report: lab.Report(t)})
	})
	if cluster.err != nil {
		t.Fatal(cluster.err)
	}
	return cluster.lab
}

func startOwnLab(t *testing.T) *kubelab.Lab {
	t.Helper()
	if err := kubelab.Ready(); err != nil {
		t.Skip(err)
	}
	l, err := kubelab.Start(t.Context(), kubelab.Options{Report: lab.Report(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// admin is a source that may see everything.
func admin(t *testing.T, l *kubelab.Lab) *kubernetes.Source {
	t.Helper()
	file, err := l.AdminKubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	return source(t, file)
}

// reader is a source that may see what the manifest for administrators says:
// the object webapp01.
func reader(t *testing.T, l *kubelab.Lab) (s *kubernetes.Source, token string) {
	t.Helper()
	apply(t, l, "credential-spec-reader.yaml")
	token, err := l.Token(t.Context(), "gmsa-system", "gmsa-agent", 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.TokenKubeconfig(token)
	if err != nil {
		t.Fatal(err)
	}
	return source(t, file), token
}

func apply(t *testing.T, l *kubelab.Lab, manifest string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", manifest))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Apply(t.Context(), data); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, l *kubelab.Lab, name, document string) credspec.Ref {
	t.Helper()
	if err := l.PutSpec(t.Context(), name, []byte(document)); err != nil {
		t.Fatal(err)
	}
	return ref(name)
}

// sorted is the canonical form by other means: encoding/json sorts the members
// of a map, too.
func sorted(t *testing.T, document string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(document), &value); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestSource(t *testing.T) {
	l := startLab(t)
	s := admin(t, l)
	credspectest.Run(t, func(t *testing.T) credspectest.Fixture {
		return credspectest.Fixture{
			Source:  s,
			Missing: ref("missing"),
			Put: func(t *testing.T, name string, data []byte) credspec.Ref {
				if !json.Valid(data) { // the long document
					data, _ = json.Marshal(map[string]any{"CmsPlugins": []string{string(data)}})
				}
				return put(t, l, name, string(data))
			},
			Canonical: func(data []byte) ([]byte, bool) {
				if !json.Valid(data) || bytes.Contains(data, []byte(`"x"`)) { // x is no field of the API
					return nil, false
				}
				return []byte(sorted(t, string(data))), true
			},
		}
	})
}

// A pin must not depend on how an object was written, nor on who writes to it.
func TestDigestIsThatOfTheValues(t *testing.T) {
	l := startLab(t)
	s := admin(t, l)
	const one = `{"DomainJoinConfig":{"Sid":"S-1-5-21-1-2-3","DnsName":"a<&>b\u2028ü"}}`
	const other = `{"DomainJoinConfig":{"DnsName":"a\u003c\u0026>b\u2028\u00fc", "Sid":"S-1-5-21-1-2-3"},"Unknown":1}`
	const want = "{\"DomainJoinConfig\":{\"DnsName\":\"a<&>b\u2028ü\",\"Sid\":\"S-1-5-21-1-2-3\"}}"
	for i, document := range []string{one, other} {
		doc, err := s.Resolve(t.Context(), put(t, l, fmt.Sprintf("digest-%d", i), document))
		if err != nil || string(doc.Data) != want {
			t.Errorf("%s: %s, %v", document, doc.Data, err)
		}
	}
}

func TestSourceNeedsWhatTheManifestGrantsAndNoMore(t *testing.T) {
	l := startLab(t)
	s, _ := reader(t, l)
	mine, others := put(t, l, "webapp01", credspectest.Document), put(t, l, "webapp02", credspectest.Document)
	lab.Eventually(t, "the role", func(ctx context.Context) error {
		_, err := s.Resolve(ctx, mine)
		return err
	})
	doc, err := s.Resolve(t.Context(), mine)
	if err != nil || string(doc.Data) != sorted(t, credspectest.Document) {
		t.Errorf("%d bytes, %v", len(doc.Data), err)
	}
	if want := l.URL + "/apis/windows.k8s.io/v1/gmsacredentialspecs/webapp01"; doc.Origin != want {
		t.Errorf("origin %s, want %s", doc.Origin, want)
	}
	if _, err := s.Revalidate(t.Context(), mine, doc.Tag); !errors.Is(err, credspec.ErrUnchanged) {
		t.Errorf("revalidation: %v", err)
	}
	for _, ref := range []credspec.Ref{others, ref("missing")} {
		_, err = s.Resolve(t.Context(), ref)
		wantError(t, err, fault.ErrDenied, "GMSACredentialSpec "+ref.Rest, "403",
			`User "system:serviceaccount:gmsa-system:gmsa-agent" cannot get resource "gmsacredentialspecs"`)
	}
}

func TestSourceIsToldApartFromOneWithoutCredentials(t *testing.T) {
	l := startLab(t)
	file, err := l.TokenKubeconfig("canary-no-token")
	if err != nil {
		t.Fatal(err)
	}
	_, err = source(t, file).Resolve(t.Context(), ref("webapp01"))
	wantError(t, err, fault.ErrDenied, "401", file, "not valid there")
}

func TestSourceTakesTheTokenThatIsInTheFileNow(t *testing.T) {
	l := startLab(t)
	_, token := reader(t, l)
	ref := put(t, l, "webapp01", credspectest.Document)
	file := filepath.Join(t.TempDir(), "token")
	kubeconfig, err := l.TokenFileKubeconfig(file)
	if err != nil {
		t.Fatal(err)
	}
	s := source(t, kubeconfig)
	if _, err := s.Resolve(t.Context(), ref); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("without the file: %v", err)
	}
	for _, step := range []struct {
		token string
		kind  error
	}{{"canary-expired", fault.ErrDenied}, {token + "\n", nil}, {"canary-revoked", fault.ErrDenied}} {
		if err := os.WriteFile(file, []byte(step.token), 0o600); err != nil {
			t.Fatal(err)
		}
		if step.kind == nil {
			lab.Eventually(t, "the role", func(ctx context.Context) error {
				_, err := s.Resolve(ctx, ref)
				return err
			})
		} else if _, err := s.Resolve(t.Context(), ref); !errors.Is(err, step.kind) {
			t.Errorf("with another token: %v, want %v", err, step.kind)
		}
	}
}

func TestSourceInAPodUsesItsServiceAccount(t *testing.T) {
	l := startLab(t)
	_, token := reader(t, l)
	ref := put(t, l, "webapp01", credspectest.Document)
	ca, err := os.ReadFile(l.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	sandbox := t.TempDir()
	dir := filepath.Join(sandbox, "var", "run", "secrets", "kubernetes.io", "serviceaccount")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"token": []byte(token), "ca.crt": ca} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINER_SANDBOX_MOUNT_POINT", sandbox)
	t.Setenv("KUBERNETES_SERVICE_HOST", u.Hostname())
	t.Setenv("KUBERNETES_SERVICE_PORT", u.Port())
	s := source(t, "")
	lab.Eventually(t, "the role", func(ctx context.Context) error {
		_, err := s.Resolve(ctx, ref)
		return err
	})
}

func trusting(t *testing.T, ca []byte) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		t.Fatal("no certificate")
	}
	return &tls.Config{RootCAs: pool}
}

// readAll reads an answer, which can be read again afterwards.
func readAll(r *http.Response) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, err
}

func TestRevalidationTransfersNoDocument(t *testing.T) {
	l := startLab(t)
	_, token := reader(t, l)
	target, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := os.ReadFile(l.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64 // documents
	front := httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{TLSClientConfig: trusting(t, roots)},
		ModifyResponse: func(r *http.Response) error {
			body, err := readAll(r)
			if bytes.Contains(body, []byte("webapp01.contoso.com")) {
				sent.Add(1)
			}
			return err
		},
	})
	defer front.Close()
	s := source(t, kubeconfig(t, front.URL, map[string]any{"token": token}, certificate(front)...))

	document := func(guid string) string {
		return `{"DomainJoinConfig":{"DnsName":"webapp01.contoso.com","Guid":"` + guid + `"}}`
	}
	ref := put(t, l, "webapp01", document("1"))
	lab.Eventually(t, "the role", func(ctx context.Context) error {
		_, err := s.Resolve(ctx, ref)
		return err
	})
	first, err := s.Resolve(t.Context(), ref)
	if err != nil || first.Tag == "" {
		t.Fatalf("tag %q, %v", first.Tag, err)
	}
	before := sent.Load()
	for range 3 {
		if _, err := s.Revalidate(t.Context(), ref, first.Tag); !errors.Is(err, credspec.ErrUnchanged) {
			t.Errorf("unchanged: %v", err)
		}
	}
	if n := sent.Load() - before; n != 0 || before == 0 {
		t.Errorf("%d documents were sent for revalidation (%d before)", n, before)
	}

	put(t, l, "webapp01", document("2"))
	second, err := s.Revalidate(t.Context(), ref, first.Tag)
	if err != nil || second.Tag == first.Tag || string(second.Data) != document("2") {
		t.Errorf("changed: %s, tag %q after %q, %v", second.Data, second.Tag, first.Tag, err)
	}

	// Another object of the same name.
	if err := l.DeleteSpec(t.Context(), "webapp01"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revalidate(t.Context(), ref, second.Tag); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	put(t, l, "webapp01", document("2"))
	if third, err := s.Revalidate(t.Context(), ref, second.Tag); err != nil || third.Tag == second.Tag {
		t.Errorf("made again: tag %q, %v", third.Tag, err)
	}
}

func TestSourceWithoutACredspecInTheObject(t *testing.T) {
	l := startLab(t)
	err := l.Apply(t.Context(), []byte("{apiVersion: windows.k8s.io/v1, kind: GMSACredentialSpec, metadata: {name: empty}}"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin(t, l).Resolve(t.Context(), ref("empty"))
	wantError(t, err, fault.ErrMalformed, "gmsacredentialspecs/empty", "has no credspec")
}

func TestSourceSaysThatTheAPIIsNotInstalled(t *testing.T) {
	l := startOwnLab(t)
	s := admin(t, l)
	if err := l.DeleteAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The API server stops serving it a moment after it is gone.
	lab.Eventually(t, "the API's end", func(ctx context.Context) error {
		_, err := s.Resolve(ctx, ref("webapp01"))
		if err == nil || !strings.Contains(err.Error(), "CRD") {
			return fmt.Errorf("still served: %w", err)
		}
		return nil
	})
	_, err := s.Resolve(t.Context(), ref("webapp01"))
	wantError(t, err, fault.ErrNotFound, "the CRD gmsacredentialspecs.windows.k8s.io is not installed")

	// Only the old version of it.
	crd, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", "gmsacredentialspecs.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Replace(string(crd), "served: true", "served: false", 1)
	if err := l.Apply(t.Context(), []byte(old)); err != nil {
		t.Fatal(err)
	}
	err = errors.New("not asked")
	lab.Eventually(t, "the old version", func(ctx context.Context) error {
		if err != nil {
			err = l.Apply(ctx, []byte("{apiVersion: windows.k8s.io/v1alpha1, kind: GMSACredentialSpec, metadata: {name: webapp01}, credspec: {CmsPlugins: [ActiveDirectory]}}"))
		}
		return err
	})
	doc, err := s.Resolve(t.Context(), ref("webapp01"))
	if err != nil || string(doc.Data) != `{"CmsPlugins":["ActiveDirectory"]}` || !strings.Contains(doc.Origin, "v1alpha1") {
		t.Errorf("%s from %s, %v", doc.Data, doc.Origin, err)
	}
	if _, err := s.Revalidate(t.Context(), ref("webapp01"), doc.Tag); !errors.Is(err, credspec.ErrUnchanged) {
		t.Errorf("revalidation: %v", err)
	}
}

func TestSourceWhoseServerIsGoneComesBack(t *testing.T) {
	l := startOwnLab(t)
	s := admin(t, l)
	ref := put(t, l, "webapp01", credspectest.Document)
	if _, err := s.Resolve(t.Context(), ref); err != nil {
		t.Fatal(err)
	}

	if err := l.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := s.Resolve(ctx, ref)
	wantError(t, err, context.DeadlineExceeded, strings.TrimPrefix(l.URL, "https://"))
	if err := l.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(t.Context(), ref); err != nil {
		t.Errorf("after the pause: %v", err)
	}

	if err := l.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Resolve(t.Context(), ref)
	wantError(t, err, fault.ErrUnavailable, strings.TrimPrefix(l.URL, "https://"), "refused")
	if err := l.StartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, "the object", func(ctx context.Context) error {
		_, err := s.Resolve(ctx, ref)
		return err
	})
}
