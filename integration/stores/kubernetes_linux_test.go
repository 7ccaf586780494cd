package stores

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/kubelab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// kubernetes is an API server with a namespace whose Secrets a service account
// may get and watch.
type kubernetes struct {
	*front
	lab        *kubelab.Lab
	token      string
	kubeconfig string
}

const (
	kubernetesHost      = "kubernetes.contoso.com"
	kubernetesNamespace = "gmsa"
)

const kubernetesRights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agent, namespace: gmsa}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [get, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agent, namespace: gmsa}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agent}
subjects:
- {kind: ServiceAccount, name: agent, namespace: gmsa}
`

func startKubernetes(h *host) server {
	h.Helper()
	l, err := kubelab.Start(h.Context(), kubelab.Options{Report: lab.Report(h)})
	h.must(err)
	h.Cleanup(func() { h.must(l.Stop()) })
	k := &kubernetes{lab: l, kubeconfig: h.path("kubeconfig.yaml")}
	h.must(l.Namespace(h.Context(), kubernetesNamespace))
	h.must(l.ServiceAccount(h.Context(), kubernetesNamespace, "agent"))
	h.must(l.Apply(h.Context(), []byte(kubernetesRights)))
	k.token, err = l.Token(h.Context(), kubernetesNamespace, "agent", time.Hour)
	h.must(err)

	ca, err := os.ReadFile(l.CAFile)
	h.must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	k.front = h.newFront(l.URL, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}, kubernetesHost)
	k.asks = func(r *http.Request) string {
		name, is := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/"+kubernetesNamespace+"/secrets/")
		// With its watch, the store asks for metadata, in which there is no secret.
		if !is || strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadata") {
			return ""
		}
		return name
	}
	k.throttle = says(http.StatusTooManyRequests, status("TooManyRequests", http.StatusTooManyRequests))
	k.refuse = says(http.StatusForbidden, status("Forbidden", http.StatusForbidden))
	h.write(k.kubeconfig, fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: lab,
  clusters: [{name: lab, cluster: {server: "https://%s"}}],
  users: [{name: agent, user: {token: %s}}],
  contexts: [{name: lab, context: {cluster: lab, user: agent}}]}
`, kubernetesHost, k.token))
	return k
}

// status is how an API server says no.
func status(reason string, code int) string {
	return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":%q,"code":%d}`, reason, code)
}

func (k *kubernetes) settings() map[string]any {
	return map[string]any{
		"kubernetes": map[string]any{"kubeconfig": k.kubeconfig},
		"secrets":    map[string]any{"kubernetes": map[string]any{"namespaces": []string{kubernetesNamespace}}},
	}
}

func (k *kubernetes) ref(name string) string {
	return "kubernetes://" + kubernetesNamespace + "/" + name
}

// put stores keys; what is no JSON object is under a key that is none of a
// credential.
func (k *kubernetes) put(name, content string) {
	k.h.Helper()
	var keys map[string]string
	if json.Unmarshal([]byte(content), &keys) != nil {
		keys = map[string]string{"note": content}
	}
	data := map[string][]byte{}
	for key, value := range keys {
		data[key] = []byte(value)
	}
	k.h.must(k.lab.PutSecret(k.h.Context(), kubernetesNamespace, name, data))
}

func (k *kubernetes) remove(name string) {
	k.h.Helper()
	k.h.must(k.lab.DeleteSecret(k.h.Context(), kubernetesNamespace, name))
}

func (k *kubernetes) credentials() []string { return []string{k.token} }

func (k *kubernetes) plugin() string           { return "{E4781092-F116-4B79-B55E-28EB6A224E26}" }
func (k *kubernetes) input(name string) string { return kubernetesNamespace + ":" + name }
