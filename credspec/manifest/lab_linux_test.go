package manifest_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/manifest"
	"github.com/gmsa-agent/gmsa-agent/integration/kubelab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// beyond are the manifests that are wrong in what no API server looks at.
var beyond = map[string]string{
	"specs/credspec-missing.yaml":         "the CRD requires nothing; the webhook refuses it",
	"specs/sid-of-account.yaml":           "a value",
	"specs/sid-empty.yaml":                "a null is dropped",
	"specs/name-block.yaml":               "a value",
	"refused/azure-aks-placeholders.yaml": "values",
}

// What Read finds nothing wrong with, the API server accepts; what it takes for
// wrong in a manifest, the API server refuses. It is asked as kubectl asks it,
// with strict validation.
func TestVerdictsAgreeWithAnAPIServer(t *testing.T) {
	server := startLab(t)
	t.Run("on manifests", server.onManifests)
	t.Run("on plain words", server.onPlainWords)
}

func (s apiServer) onManifests(t *testing.T) {
	for _, script := range scripts {
		archive, err := txtar.ParseFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.Files {
			if !manifest.Is(file.Data) {
				continue
			}
			objects := manifest.Read(file.Data)
			if len(objects) != 1 || objects[0].Skipped || bytes.Contains(file.Data, []byte("kind: List")) {
				continue // kubectl takes them apart
			}
			if bytes.Contains(file.Data, []byte("<<:")) {
				continue // an API server's own strict reading takes overriding for repetition; kubectl merges before
			}
			wrong := slices.ContainsFunc(objects[0].Problems, func(p credspec.Problem) bool {
				return p.Severity == credspec.SeverityError || strings.Contains(p.Message, "kubectl refuses it")
			})
			if _, ok := beyond[file.Name]; ok {
				wrong = !wrong
			}
			if code, answer := s.create(t, objects[0].APIVersion, file.Data); (code/100 != 2) != wrong {
				t.Errorf("%s: the API server says %d %s, Read %v", file.Name, code, answer, objects[0].Problems)
			}
		}
	}
}

func (s apiServer) onPlainWords(t *testing.T) {
	for _, word := range []string{"yes", "No", "ON", "off", "y", "N", "true", "~", "null", "webapp", "2024", "0x10", "1e3", "1_000", "2026-01-01", "12:30", ".inf", "!x yes", "!!str yes", "'yes'", "=", "0815", "0o17", "1.2.3"} {
		text := []byte(edited(t, "MachineAccountName: webapp01", "MachineAccountName: "+word))
		wrong := slices.ContainsFunc(manifest.Read(text)[0].Problems, func(p credspec.Problem) bool {
			return p.Path == "/credspec/DomainJoinConfig/MachineAccountName" && (strings.Contains(p.Message, "should be a string") || strings.Contains(p.Message, "true or false"))
		})
		code, answer := s.create(t, "windows.k8s.io/v1", text)
		if word == "~" || word == "null" {
			wrong = false // is dropped, and nothing is required
		}
		if (code/100 != 2) != wrong {
			t.Errorf("%s: the API server says %d %s, Read %v", word, code, answer, manifest.Read(text)[0].Problems)
		}
	}
}

// apiServer is asked as its administrator.
type apiServer struct {
	url    string
	client *http.Client
}

func startLab(t *testing.T) apiServer {
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
	return apiServer{l.URL, administrator(t, l)}
}

// create has the server say whether it would take an object.
func (s apiServer) create(t *testing.T, version string, body []byte) (code int, answer string) {
	t.Helper()
	if version != "windows.k8s.io/v1alpha1" {
		version = "windows.k8s.io/v1"
	}
	resp, err := s.client.Post(s.url+"/apis/"+version+"/gmsacredentialspecs?dryRun=All&fieldValidation=Strict", "application/yaml", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// administrator is a client that may do everything.
func administrator(t *testing.T, l *kubelab.Lab) *http.Client {
	t.Helper()
	path, err := l.AdminKubeconfig()
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Users []struct {
			User struct {
				Certificate string `yaml:"client-certificate-data"`
				Key         string `yaml:"client-key-data"`
			}
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load(text, &config); err != nil {
		t.Fatal(err)
	}
	user := config.Users[0].User
	certificate, err := tls.X509KeyPair(decoded(t, user.Certificate), decoded(t, user.Key))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(l.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal(fmt.Errorf("%s has no certificate", l.CAFile))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func decoded(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
