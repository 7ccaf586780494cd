package stores

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// aws is one of AWS's services as moto has it. The agent finds it by its own
// name, as the instance's role.
type aws struct {
	*front
	lab      *awslab.Lab
	scheme   string
	role     awslab.Instance
	metadata string // URL
	arns     map[string]string
}

func startSecretsManager(h *host) server { return startAWS(h, "awssecretsmanager", "secretsmanager") }
func startParameters(h *host) server     { return startAWS(h, "awsssm", "ssm") }

func startAWS(h *host, scheme, service string) server {
	h.Helper()
	l, err := awslab.Start(h.Context(), lab.Report(h))
	h.must(err)
	h.Cleanup(func() { h.must(l.Stop()) })
	a := &aws{lab: l, scheme: scheme, arns: map[string]string{}}
	a.role = awslab.Instance{Region: awslab.Region, ID: "ASIAEXAMPLE", Secret: "of-the-role-" + token(), SessionToken: "session-" + token()}
	metadata, err := awslab.StartMetadata(h.Context(), a.role)
	h.must(err)
	h.Cleanup(func() { h.must(metadata.Stop()) })
	// Its place in the cloud is Azure's, too, on a host with both.
	at := netip.AddrPortFrom(h.address(), 80)
	h.forward(at, strings.TrimPrefix(metadata.URL, "http://"))
	a.metadata = "http://" + at.String()

	a.front = h.newFront(l.URL, http.DefaultTransport, service+"."+awslab.Region+".amazonaws.com")
	a.asks = func(r *http.Request) string {
		var asked struct{ SecretId, Name string } //nolint:revive // the services' spelling
		if json.NewDecoder(r.Body).Decode(&asked) != nil {
			return ""
		}
		return a.name(asked.SecretId + asked.Name)
	}
	a.throttle = says(http.StatusBadRequest, `{"__type":"ThrottlingException","message":"Rate exceeded"}`)
	a.refuse = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"AccessDeniedException","message":"not authorized"}`)) // the client may have left
	})
	return a
}

// name is that of the secret with an ARN, or a name is its own.
func (a *aws) name(id string) string {
	if i := strings.LastIndex(id, ":"); i >= 0 && strings.HasPrefix(id, "arn:") {
		id = strings.TrimPrefix(id[i+1:], "parameter/")
		if a.scheme == "awssecretsmanager" && len(id) > 7 {
			id = id[:len(id)-7] // what makes an ARN unlike that of an earlier secret of the name
		}
	}
	return strings.TrimPrefix(id, "/")
}

func (a *aws) settings() map[string]any {
	return map[string]any{"aws": map[string]any{
		"credentials": "instance", "region": awslab.Region, "endpoints": map[string]any{"imds": a.metadata},
	}}
}

func (a *aws) ref(name string) string {
	if a.scheme == "awsssm" {
		// By its ARN, moto finds a parameter with a leading slash only.
		return a.scheme + ":///" + name
	}
	return a.scheme + "://" + name
}

func (a *aws) put(name, content string) {
	a.h.Helper()
	if a.scheme == "awsssm" {
		a.h.must(a.lab.Put(a.h.Context(), awslab.Parameter{Name: "/" + name, Value: content}))
		a.arns[name] = "arn:aws:ssm:" + awslab.Region + ":" + awslab.AccountID + ":parameter/" + name
		return
	}
	arn, _, err := a.lab.PutSecret(a.h.Context(), awslab.Secret{Name: name, Text: content})
	a.h.must(err)
	a.arns[name] = arn
}

func (a *aws) remove(name string) {
	a.h.Helper()
	if a.scheme == "awsssm" {
		a.h.must(a.lab.Delete(a.h.Context(), "/"+name))
		return
	}
	a.h.must(a.lab.DeleteSecret(a.h.Context(), name, false))
}

func (a *aws) credentials() []string { return []string{a.role.Secret, a.role.SessionToken} }

func (a *aws) plugin() string { return "{859E1386-BDB4-49E8-85C7-3070B13920E1}" }
func (a *aws) input(name string) string {
	b, err := json.Marshal(map[string]string{"credentialArn": a.arns[name]})
	a.h.must(err)
	return string(b)
}
