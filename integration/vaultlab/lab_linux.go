package vaultlab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Options say how a lab is started.
type Options struct {
	Report lab.Reporter // nil: silent
}

// Lab is a running Vault.
type Lab struct {
	URL    string // https://127.0.0.1:PORT
	CAFile string // the certificate that signed the server's
	Root   string // a token that may do everything

	dir       string
	authority *lab.Authority
	http      *http.Client
	server    *lab.Process
	key       string // that unseals
	starts    int
}

// Start starts a lab, which takes two seconds. The caller calls Stop.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gmsa-vault-")
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir, CAFile: filepath.Join(dir, "ca.pem")}
	begin := time.Now()
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the Vault lab: %w", err), l.Stop())
	}
	if o.Report != nil {
		o.Report("Vault %s listens on %s after %v", Version, l.URL, time.Since(begin).Round(time.Millisecond))
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lab.StartTimeout)
	defer cancel()
	if err := l.writeKeys(); err != nil {
		return err
	}
	if err := l.StartServer(ctx); err != nil {
		return err
	}
	var keys struct {
		Keys      []string
		RootToken string `json:"root_token"`
	}
	if err := l.Do(ctx, http.MethodPut, "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1}, &keys); err != nil {
		return err
	}
	l.key, l.Root = keys.Keys[0], keys.RootToken
	return l.Unseal(ctx)
}

// writeKeys makes what the server finds when it starts.
func (l *Lab) writeKeys() error {
	var err error
	if l.authority, err = lab.NewAuthority("gmsa-agent's Vault lab"); err != nil {
		return err
	}
	if err := os.WriteFile(l.CAFile, l.authority.PEM(), 0o600); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(l.authority.Certificate)
	l.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	if err := os.Mkdir(l.Path("storage"), 0o700); err != nil {
		return err
	}
	server, err := l.authority.Issue(lab.ServerTemplate([]string{"localhost"}, net.IPv4(127, 0, 0, 1)))
	if err != nil {
		return err
	}
	return lab.WritePair(server, l.Path("server.pem"), l.Path("server-key.pem"))
}

// config is the server's. Its storage, in the lab's folder, outlives it. There
// is one node: nobody has to find its cluster address.
const config = `
storage "raft" {
  path                   = %q
  node_id                = "lab"
  performance_multiplier = 1
}
listener "tcp" {
  address         = %q
  cluster_address = "127.0.0.1:0"
  tls_cert_file   = %q
  tls_key_file    = %q
}
api_addr         = "https://%[2]s"
cluster_addr     = "https://127.0.0.1:8201"
plugin_directory = %[5]q
disable_mlock    = true
`

// StartServer starts the server, which Start has done already. After Kill it is
// the same server at the same address, and sealed.
func (l *Lab) StartServer(ctx context.Context) error {
	// Between finding a free port and listening on it another process may take
	// it. Once somebody knows the address, it stays.
	const tries = 3
	for try := 1; ; try++ {
		address, known := strings.CutPrefix(l.URL, "https://")
		if !known {
			var err error
			if address, err = lab.Address(); err != nil {
				return err
			}
		}
		l.URL = "https://" + address
		err := l.startServer(ctx, address)
		if err == nil || known || try == tries || !strings.Contains(l.server.LogTail(), "address already in use") {
			return err
		}
		l.URL = ""
	}
}

func (l *Lab) startServer(ctx context.Context, address string) error {
	l.starts++
	file := l.Path("vault.hcl")
	text := fmt.Sprintf(config, l.Path("storage"), address, l.Path("server.pem"), l.Path("server-key.pem"), folder())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	var err error
	l.server, err = lab.Start(lab.Options{
		Path: vault.path(), Args: []string{"server", "-config=" + file}, Dir: l.dir,
		Env: []string{"HOME=" + l.dir, "PATH=" + os.Getenv("PATH")}, // none of VAULT_…
		Log: l.Path(fmt.Sprintf("vault-%d.log", l.starts)),
	})
	if err != nil {
		return err
	}
	err = lab.WaitFor(ctx, "Vault", func(ctx context.Context) error {
		if l.server.Exited() != nil {
			return nil
		}
		return l.Do(ctx, http.MethodGet, "sys/seal-status", nil, nil)
	})
	return errors.Join(err, l.server.Exited())
}

// Seal seals the server: it answers 503 to everything that is about its contents.
func (l *Lab) Seal(ctx context.Context) error { return l.Do(ctx, http.MethodPut, "sys/seal", nil, nil) }

// Unseal ends a Seal.
func (l *Lab) Unseal(ctx context.Context) error {
	if err := l.Do(ctx, http.MethodPut, "sys/unseal", map[string]any{"key": l.key}, nil); err != nil {
		return err
	}
	return lab.WaitFor(ctx, "Vault, unsealed", func(ctx context.Context) error {
		return l.Do(ctx, http.MethodGet, "sys/health", nil, nil)
	})
}

// Pause stops the server where it is: it takes connections, and answers nothing
// until Resume.
func (l *Lab) Pause() error { return l.server.Pause() }

// Resume ends a Pause.
func (l *Lab) Resume() error { return l.server.Resume() }

// Kill ends the server without warning; its port refuses connections.
func (l *Lab) Kill() error {
	if l.server == nil {
		return nil
	}
	l.server.Kill()
	// The plugins are its children, in its process group.
	if err := unix.Kill(-l.server.PID(), unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// ServerLog returns the end of the server's log.
func (l *Lab) ServerLog() string { return l.server.LogTail() }

// Path returns a path in the lab's folder, which goes with the lab.
func (l *Lab) Path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }

// Stop ends the server and removes the lab's folder.
func (l *Lab) Stop() error {
	if l.http != nil {
		l.http.CloseIdleConnections()
	}
	// One that is paused ends only by being killed.
	return errors.Join(l.Kill(), os.RemoveAll(l.dir))
}
