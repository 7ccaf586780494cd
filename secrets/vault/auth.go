package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// method is how the configuration wants the store to log in. A method reads its
// files anew for each login.
type method struct {
	name string
	path string // of the login; empty for "token"
	// parameters are what the login sends, and which of them are secret. For
	// "token" it is the token alone.
	parameters func() (map[string]string, []string, error)
}

// newMethod fails with fault.ErrMalformed for a method that there is not.
func newMethod(a Auth) (method, error) {
	m := method{name: a.Method}
	switch a.Method {
	case "", "token":
		m.name, m.parameters = "token", a.token
		return m, nil
	case "approle":
		m.parameters = a.appRole
	case "jwt":
		m.parameters = func() (map[string]string, []string, error) { return a.jwt(a.TokenFile) }
	case "kubernetes":
		m.parameters = func() (map[string]string, []string, error) {
			file := a.TokenFile
			if file == "" {
				file = kubeclient.ServiceAccountToken()
			}
			return a.jwt(file)
		}
	case "cert":
		m.parameters = a.cert
	default:
		return m, fmt.Errorf("there is no method %.40q: %w", a.Method, fault.ErrMalformed)
	}
	mount := a.Mount
	if mount == "" {
		mount = a.Method
	}
	for part := range strings.SplitSeq(strings.Trim(mount, "/"), "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "%?#\\") {
			return m, fmt.Errorf("mount: %.100q is no path: %w", a.Mount, fault.ErrMalformed)
		}
	}
	m.path = "auth/" + strings.Trim(mount, "/") + "/login"
	return m, nil
}

func (a Auth) token() (map[string]string, []string, error) {
	token, err := readSecret("token_file", a.TokenFile, true)
	return map[string]string{"token": token}, []string{token}, err
}

func (a Auth) appRole() (map[string]string, []string, error) {
	role, err := readSecret("role_id_file", a.RoleIDFile, false)
	if err != nil {
		return nil, nil, err
	}
	p := map[string]string{"role_id": role}
	if a.SecretIDFile != "" { // a role may do without (bind_secret_id=false)
		if p["secret_id"], err = readSecret("secret_id_file", a.SecretIDFile, true); err != nil {
			return nil, nil, err
		}
	}
	return p, []string{p["secret_id"], role}, nil
}

// jwt has a token that others than the agent may read: the projected tokens of
// Kubernetes are such.
func (a Auth) jwt(file string) (map[string]string, []string, error) {
	token, err := readSecret("token_file", file, false)
	p := map[string]string{"jwt": token}
	if a.Role != "" { // a jwt method may have a default one
		p["role"] = a.Role
	}
	return p, []string{token}, err
}

func (a Auth) cert() (map[string]string, []string, error) {
	for key, file := range map[string]string{"cert_file": a.CertFile, "key_file": a.KeyFile} {
		if file == "" {
			return nil, nil, unset(key)
		}
	}
	p := map[string]string{}
	if a.Role != "" {
		p["name"] = a.Role
	}
	return p, nil, nil
}

// certificate reads the client's certificate, for each connection.
func (a Auth) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if err := private.Secret(a.KeyFile); err != nil {
		return nil, fmt.Errorf("secrets.vault.auth.key_file: %w", fileError(err))
	}
	c, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
	if err != nil {
		if _, isFile := errors.AsType[*os.PathError](err); isFile {
			return nil, fmt.Errorf("secrets.vault.auth.cert_file, key_file: %w", fileError(err))
		}
		// What crypto/tls says of a key may quote it.
		return nil, fmt.Errorf("secrets.vault.auth: %s and %s are no certificate and its key in PEM: %w", a.CertFile, a.KeyFile, fault.ErrUnavailable)
	}
	return &c, nil
}

// maxSecret bounds a file with a credential, in bytes: more fits into no header.
const maxSecret = 16 << 10

// readSecret reads a file with one line of visible ASCII: a token, an identifier.
func readSecret(key, file string, mustBePrivate bool) (string, error) {
	if file == "" {
		return "", unset(key)
	}
	if mustBePrivate {
		if err := private.Secret(file); err != nil {
			return "", fmt.Errorf("secrets.vault.auth.%s: %w", key, fileError(err))
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("secrets.vault.auth.%s: %w", key, fileError(err))
	}
	defer f.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	defer clear(data)
	if err != nil {
		return "", fmt.Errorf("secrets.vault.auth.%s: %w", key, fileError(err))
	}
	// Windows PowerShell writes files with a byte order mark.
	text := bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	switch {
	case len(data) > maxSecret:
		return "", fmt.Errorf("secrets.vault.auth.%s: %s has more than %d bytes: %w", key, file, maxSecret, fault.ErrUnavailable)
	case len(text) == 0:
		return "", fmt.Errorf("secrets.vault.auth.%s: %s is empty: %w", key, file, fault.ErrUnavailable)
	case bytes.ContainsFunc(text, func(r rune) bool { return r < 0x21 || r > 0x7e }):
		return "", fmt.Errorf("secrets.vault.auth.%s: %s has more than one line of ASCII without blanks: %w", key, file, fault.ErrUnavailable)
	}
	return string(text), nil
}

func unset(key string) error {
	return fmt.Errorf("secrets.vault.auth.%s is not set: %w", key, errors.ErrUnsupported)
}

// fileError is that of a file that is missing, or that others may read: it is
// mended while the agent runs, and nobody has been asked.
func fileError(err error) error { return fmt.Errorf("%v: %w", err, fault.ErrUnavailable) }

// granted is what a login gives.
type granted struct {
	token     string
	lease     float64 // seconds; zero: it does not end
	renewable bool
}

// logIn logs in. What Vault says of a login it does not take wraps
// fault.ErrDenied, whatever its status: the methods answer 400 as well as 403.
func (s *Store) logIn(ctx context.Context, parameters map[string]string, secret []string) (granted, error) {
	c, err := s.newClient("")
	if err != nil {
		return granted{}, err
	}
	if s.method.name == "cert" {
		// The certificate is shown when a connection is made.
		s.transport.CloseIdleConnections()
	}
	body, err := json.Marshal(parameters)
	if err != nil {
		return granted{}, fmt.Errorf("%w: %w", err, fault.ErrUnavailable)
	}
	defer clear(body)
	a, err := s.ask(ctx, request{client: c, path: s.method.path, body: body, secrets: secret})
	switch status := code(err); {
	case err == nil:
	case status == http.StatusBadRequest, status == http.StatusForbidden, status == http.StatusUnauthorized:
		return granted{}, fmt.Errorf("log in by %s at %s: %v: %w", s.method.name, s.method.path, err, fault.ErrDenied)
	case status == http.StatusNotFound:
		return granted{}, fmt.Errorf("log in by %s: nothing is mounted at %s: %v: %w", s.method.name, s.method.path, err, fault.ErrUnavailable)
	default:
		return granted{}, fmt.Errorf("log in by %s: %w", s.method.name, err)
	}
	defer clear(a.body)
	var login struct {
		Auth struct {
			Token     string  `json:"client_token"`
			Lease     float64 `json:"lease_duration"`
			Renewable bool
			MFA       json.RawMessage `json:"mfa_requirement"`
		}
	}
	if err := json.Unmarshal(a.body, &login); err != nil {
		return granted{}, s.at(errForeign)
	}
	switch {
	case login.Auth.Token == "" && len(login.Auth.MFA) > 0 && string(login.Auth.MFA) != "null":
		return granted{}, s.at(fmt.Errorf("the login needs a second factor, which a service has not: %w", fault.ErrDenied))
	case !headerText(login.Auth.Token):
		return granted{}, s.at(errForeign)
	}
	return granted{login.Auth.Token, login.Auth.Lease, login.Auth.Renewable}, nil
}

// headerText is what a token consists of.
func headerText(s string) bool {
	return s != "" && len(s) <= maxSecret && strings.IndexFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e }) < 0
}

// lookUp asks what a token is that somebody else made. A token that may not ask
// for itself may still be good, and nothing is known of it.
func (s *Store) lookUp(ctx context.Context, token string) (granted, error) {
	c, err := s.newClient(token)
	if err != nil {
		return granted{}, err
	}
	a, err := s.ask(ctx, request{client: c, path: "auth/token/lookup-self"})
	if code(err) == http.StatusForbidden {
		return granted{token: token}, nil
	}
	if err != nil {
		return granted{}, err
	}
	var is struct {
		TTL       float64
		Renewable bool
	}
	if err := a.decode(&is); err != nil {
		return granted{}, s.at(err)
	}
	return granted{token, is.TTL, is.Renewable}, nil
}
