package oci

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// The bounds of the files, in bytes. A token of 8 KiB is as long as servers
// take in a header; a config.json of docker login has 200 bytes for a registry.
const (
	maxPasswordFile = 16 << 10
	maxAuthFile     = 1 << 20
)

// identity is as whom a registry is asked. It prints as a name.
type identity struct {
	auth.Credential

	name string // empty: nobody
	note string // why nobody
}

// String names the identity in an error.
func (i identity) String() string {
	switch {
	case i.name != "":
		return i.name
	case i.note != "":
		return "an anonymous caller (" + i.note + ")"
	}
	return "an anonymous caller"
}

// Format prints as String, whatever the verb.
func (i identity) Format(f fmt.State, _ rune) { fmt.Fprint(f, i.String()) }

// identity reads the credentials for a registry. A file that others can read, or
// change, is fault.ErrDenied. Whatever else is wrong with it is
// fault.ErrUnavailable: mended, the same reference resolves.
func (c Config) identity(n name) (identity, error) {
	if r := c.Registries[canonical(n.Registry)]; r.Username != "" {
		password, err := readPassword(r.PasswordFile)
		if err != nil {
			return identity{}, unread("password file", r.PasswordFile, err)
		}
		return identity{auth.Credential{Username: r.Username, Password: password}, fmt.Sprintf("user %.100q", r.Username), ""}, nil
	}
	if c.AuthFile == "" {
		return identity{}, nil
	}
	data, err := readFile(c.AuthFile, maxAuthFile)
	if err == nil {
		var i identity
		if i, err = readAuths(data, n.Registry); err == nil {
			return i, nil
		}
	}
	return identity{}, unread("auth file", c.AuthFile, err)
}

func unread(what, file string, err error) error {
	if errors.Is(err, fault.ErrDenied) { // its text names the file
		return fmt.Errorf("%s: %w", what, err)
	}
	// Whatever kind it has is the file's and not the document's.
	return fmt.Errorf("%s %s: %v: %w", what, file, err, fault.ErrUnavailable)
}

// readPassword reads a password without the one line end that editors put
// behind it.
func readPassword(file string) (string, error) {
	data, err := readFile(file, maxPasswordFile)
	if err != nil {
		return "", err
	}
	text := string(data)
	if before, ok := strings.CutSuffix(text, "\n"); ok {
		text = strings.TrimSuffix(before, "\r")
	}
	if text == "" {
		return "", errors.New("there is no password in it")
	}
	return text, nil
}

// readFile reads a file of at most most bytes that nobody else can read or
// change. Its error does not name the file, unless it is fault.ErrDenied.
func readFile(file string, most int64) ([]byte, error) {
	// Before it is opened: opening a pipe waits.
	switch err := private.Secret(file); {
	case errors.Is(err, fault.ErrMalformed):
		return nil, errors.New("it is not a file")
	case err != nil:
		return nil, withoutPath(err)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case int64(len(data)) > most:
		return nil, fmt.Errorf("it is longer than %d bytes", most)
	}
	return data, nil
}

func withoutPath(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}

// dockerConfig is what is read of a config.json.
//
// https://docs.docker.com/reference/cli/docker/login/#credential-stores
type dockerConfig struct {
	Auths       map[string]dockerAuth `json:"auths"`
	CredsStore  string                `json:"credsStore"`
	CredHelpers map[string]string     `json:"credHelpers"`
}

type dockerAuth struct {
	Auth          string `json:"auth"` // base64 of user:password
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"` // exchanged at the token service
	RegistryToken string `json:"registrytoken"` // sent to the registry as it is
}

// readAuths takes a registry's credentials out of a config.json. No error
// repeats anything of it.
func readAuths(data []byte, host string) (identity, error) {
	var cfg dockerConfig
	if err := json.Unmarshal(data, &cfg); err != nil {
		return identity{}, errors.New("it is not a config.json as docker login writes it")
	}
	entry, ok := cfg.entry(host)
	credential, err := entry.credential()
	switch {
	case err != nil:
		return identity{}, fmt.Errorf("its entry for %s: %w", host, err)
	case credential != auth.EmptyCredential && credential.Username != "":
		return identity{credential, fmt.Sprintf("user %.100q", credential.Username), ""}, nil
	case credential != auth.EmptyCredential:
		return identity{credential, "the holder of the token in the auth file", ""}, nil
	case ok && cfg.CredsStore != "", cfg.CredHelpers[host] != "":
		// docker login leaves an empty entry where a helper has the password.
		return identity{note: "its credentials are in a credential helper, which the agent does not run"}, nil
	}
	return identity{note: "the auth file has no entry for it"}, nil
}

// entry finds a registry by its host, or by an address of it as older versions
// of Docker wrote them.
func (c dockerConfig) entry(host string) (dockerAuth, bool) {
	if a, ok := c.Auths[host]; ok {
		return a, true
	}
	for key, a := range c.Auths {
		_, address, found := strings.Cut(key, "://")
		if !found {
			address = key
		}
		key, path, _ := strings.Cut(address, "/")
		if canonical(key) == canonical(host) && (path == "" || path == "v1/" || path == "v2/") {
			return a, true
		}
	}
	return dockerAuth{}, false
}

func (a dockerAuth) credential() (auth.Credential, error) {
	c := auth.Credential{Username: a.Username, Password: a.Password, RefreshToken: a.IdentityToken, AccessToken: a.RegistryToken}
	if a.Auth != "" {
		text, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(string(text), ":")
		if err != nil || !ok {
			return auth.EmptyCredential, errors.New("its auth is not user:password in base64")
		}
		c.Username, c.Password = user, strings.Trim(password, "\x00") // some helpers pad it
	}
	return c, nil
}
