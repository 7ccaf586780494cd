package kubelab

import (
	"encoding/base64"
	"fmt"
	"os"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Kubeconfig writes a kubeconfig for a user of these groups, with a client
// certificate, and returns its path.
func (l *Lab) Kubeconfig(user string, groups ...string) (string, error) {
	c, err := l.client(user, groups...)
	if err != nil {
		return "", err
	}
	cert, key, err := lab.PairPEM(c)
	if err != nil {
		return "", err
	}
	return l.writeKubeconfig(map[string]any{
		"client-certificate-data": base64.StdEncoding.EncodeToString(cert),
		"client-key-data":         base64.StdEncoding.EncodeToString(key),
	})
}

// AdminKubeconfig is Kubeconfig for one who may do everything.
func (l *Lab) AdminKubeconfig() (string, error) { return l.Kubeconfig("admin", adminGroup) }

// TokenKubeconfig is Kubeconfig for whoever the token belongs to.
func (l *Lab) TokenKubeconfig(token string) (string, error) {
	return l.writeKubeconfig(map[string]any{"token": token})
}

// TokenFileKubeconfig is TokenKubeconfig for the token that is in the file at
// the time.
func (l *Lab) TokenFileKubeconfig(file string) (string, error) {
	return l.writeKubeconfig(map[string]any{"tokenFile": file})
}

func (l *Lab) writeKubeconfig(user map[string]any) (string, error) {
	data, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "lab",
		"clusters": []any{map[string]any{"name": "lab", "cluster": map[string]any{"server": l.URL, "certificate-authority": l.CAFile}}},
		"users":    []any{map[string]any{"name": "user", "user": user}},
		"contexts": []any{map[string]any{"name": "lab", "context": map[string]any{"cluster": "lab", "user": "user"}}},
	})
	if err != nil {
		return "", err
	}
	path := l.Path(fmt.Sprintf("kubeconfig-%d.yaml", l.files.Add(1)))
	return path, os.WriteFile(path, data, 0o600)
}
