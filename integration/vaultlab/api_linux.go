package vaultlab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// APIError is an answer of Vault that is none of the 200s.
type APIError struct {
	Code    int
	Message string
}

func (e *APIError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Message) }

// Code is the status of an answer, 0 if there was none.
func Code(err error) int {
	if e, ok := errors.AsType[*APIError](err); ok {
		return e.Code
	}
	return 0
}

// Do asks Vault as root, at a path below /v1/. in and out are JSON values, and
// may be nil; out gets the whole answer.
func (l *Lab) Do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, l.URL+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if l.Root != "" {
		req.Header.Set("X-Vault-Token", l.Root)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or the error is the read's
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		var said struct{ Errors []string }
		_ = json.Unmarshal(data, &said) // the status says enough
		return fmt.Errorf("%s %s: %w", method, path, &APIError{resp.StatusCode, strings.Join(said.Errors, "; ")})
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

// Write writes to a path.
func (l *Lab) Write(ctx context.Context, path string, in any) error {
	return l.Do(ctx, http.MethodPut, path, in, nil)
}

// Read returns the data that a path has.
func (l *Lab) Read(ctx context.Context, path string) (map[string]any, error) {
	var out struct{ Data map[string]any }
	err := l.Do(ctx, http.MethodGet, path, nil, &out)
	return out.Data, err
}

// Delete deletes what a path has.
func (l *Lab) Delete(ctx context.Context, path string) error {
	return l.Do(ctx, http.MethodDelete, path, nil, nil)
}

// KV mounts a key-value engine of version 1 or 2.
func (l *Lab) KV(ctx context.Context, mount string, version int) error {
	err := l.Write(ctx, "sys/mounts/"+mount, map[string]any{"type": "kv", "options": map[string]string{"version": fmt.Sprint(version)}})
	if err != nil || version == 1 {
		return err
	}
	// Version 2 begins with moving what version 1 had, and takes nothing until
	// it has seen that there is nothing.
	return lab.WaitFor(ctx, "the engine at "+mount, func(ctx context.Context) error {
		return l.Do(ctx, http.MethodGet, mount+"/config", nil, nil)
	})
}

// LDAP mounts the LDAP secrets engine.
func (l *Lab) LDAP(ctx context.Context, mount string) error {
	return errors.Join(l.register(ctx, "secret", "ldap", pluginLDAP), l.Write(ctx, "sys/mounts/"+mount, map[string]any{"type": "ldap"}))
}

// AD mounts the Active Directory secrets engine, LDAP's predecessor.
func (l *Lab) AD(ctx context.Context, mount string) error {
	return errors.Join(l.register(ctx, "secret", "ad", pluginAD), l.Write(ctx, "sys/mounts/"+mount, map[string]any{"type": "ad"}))
}

// Auth mounts an auth method at a path: "approle", "jwt", "cert", "kubernetes".
func (l *Lab) Auth(ctx context.Context, method, path string) error {
	if method == "kubernetes" {
		if err := l.register(ctx, "auth", method, pluginKubernetes); err != nil {
			return err
		}
	}
	return l.Write(ctx, "sys/auth/"+path, map[string]any{"type": method})
}

// register makes a plugin known by the name that it has in a full build.
func (l *Lab) register(ctx context.Context, kind, name string, p program) error {
	data, err := os.ReadFile(p.path())
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	return l.Write(ctx, "sys/plugins/catalog/"+kind+"/"+name, map[string]any{"command": p.name, "sha256": hex.EncodeToString(sum[:])})
}

// Policy writes a policy, in HCL.
func (l *Lab) Policy(ctx context.Context, name, hcl string) error {
	return l.Write(ctx, "sys/policies/acl/"+name, map[string]any{"policy": hcl})
}

// Token returns a token with these policies and other properties ("ttl",
// "renewable", …) as the API has them.
func (l *Lab) Token(ctx context.Context, properties map[string]any, policies ...string) (string, error) {
	in := map[string]any{"policies": policies}
	for k, v := range properties {
		in[k] = v
	}
	var out struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		}
	}
	err := l.Do(ctx, http.MethodPut, "auth/token/create", in, &out)
	return out.Auth.ClientToken, err
}

// Revoke makes a token invalid.
func (l *Lab) Revoke(ctx context.Context, token string) error {
	return l.Write(ctx, "auth/token/revoke", map[string]any{"token": token})
}
