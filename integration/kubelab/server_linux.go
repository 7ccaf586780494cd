package kubelab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// adminGroup may do everything, whatever the roles say.
const adminGroup = "system:masters"

// issuer is who service account tokens are from.
const issuer = "https://kubernetes.default.svc"

// writeKeys makes the lab's certificates, and the key that service account
// tokens are signed with.
func (l *Lab) writeKeys() error {
	var err error
	if l.authority, err = lab.NewAuthority("gmsa-agent's Kubernetes lab"); err != nil {
		return err
	}
	server, err := l.authority.Issue(lab.ServerTemplate([]string{"localhost", "kubernetes.default.svc"}, net.IPv4(127, 0, 0, 1)))
	if err != nil {
		return err
	}
	if err := lab.WritePair(server, l.Path("server.pem"), l.Path("server-key.pem")); err != nil {
		return err
	}
	tokens, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	tokenKey, err := privateKey(tokens)
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"ca.pem": l.authority.PEM(), "tokens-key.pem": tokenKey,
	} {
		if err := os.WriteFile(l.Path(name), data, 0o600); err != nil {
			return err
		}
	}
	admin, err := l.client("kubelab", adminGroup)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(l.authority.Certificate)
	l.admin = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{*admin}}}}
	return nil
}

// startEtcd starts etcd on sockets in the lab's folder, where nobody else can
// reach it.
func (l *Lab) startEtcd(ctx context.Context) error {
	clients, peers := "unix://"+l.Path("etcd.sock"), "unix://"+l.Path("peer.sock")
	var err error
	l.etcd, err = lab.Start(lab.Options{
		Path: etcd.path(),
		Args: []string{
			"--data-dir=" + l.Path("etcd"), "--unsafe-no-fsync",
			"--listen-client-urls=" + clients, "--advertise-client-urls=" + clients,
			"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers,
		},
		Log: l.Path("etcd.log"),
	})
	if err != nil {
		return err
	}
	ctx, end := whileRuns(ctx, l.etcd)
	defer end()
	return lab.WaitFor(ctx, "etcd", func(context.Context) error {
		conn, err := net.Dial("unix", l.Path("etcd.sock"))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// whileRuns returns a context that ends with the process, and then says how it
// ended.
func whileRuns(ctx context.Context, p *lab.Process) (running context.Context, end func()) {
	running, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-p.Done():
			cancel(p.Exited())
		case <-running.Done():
		}
	}()
	return running, func() { cancel(nil) }
}

// StartServer starts the API server, which Start has done already. After Kill
// it is the same server with the same contents, at the same address.
func (l *Lab) StartServer(ctx context.Context) error {
	// Between finding a free port and listening on it another process may take
	// it. Once the address is in somebody's kubeconfig, it stays.
	const tries = 3
	for try := 1; ; try++ {
		port, err := l.port()
		if err != nil {
			return err
		}
		err = l.startServer(ctx, port)
		if err == nil || l.URL != "" || try == tries || !strings.Contains(l.api.LogTail(), "address already in use") {
			l.URL = "https://127.0.0.1:" + port
			return err
		}
	}
}

// port is the one that the server has already, or a free one.
func (l *Lab) port() (string, error) {
	if l.URL != "" {
		return l.URL[strings.LastIndexByte(l.URL, ':')+1:], nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}

func (l *Lab) startServer(ctx context.Context, port string) error {
	l.starts++
	var err error
	l.api, err = lab.Start(lab.Options{
		Path: apiserver.path(),
		Args: []string{
			"--etcd-servers=unix://" + l.Path("etcd.sock"),
			"--bind-address=127.0.0.1", "--secure-port=" + port,
			"--tls-cert-file=" + l.Path("server.pem"), "--tls-private-key-file=" + l.Path("server-key.pem"),
			"--client-ca-file=" + l.CAFile, "--cert-dir=" + l.dir,
			"--service-account-issuer=" + issuer,
			"--service-account-key-file=" + l.Path("tokens-key.pem"), "--service-account-signing-key-file=" + l.Path("tokens-key.pem"),
			"--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
		},
		Log: l.Path(fmt.Sprintf("kube-apiserver-%d.log", l.starts)),
	})
	if err != nil {
		return err
	}
	ctx, end := whileRuns(ctx, l.api)
	defer end()
	return lab.WaitFor(ctx, apiserver.name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1:"+port+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := l.admin.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // only its status counts
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", resp.Status)
		}
		return nil
	})
}

// Pause stops the API server where it is: it takes connections, and answers
// nothing until Resume.
func (l *Lab) Pause() error { return l.api.Pause() }

// Resume ends a Pause.
func (l *Lab) Resume() error { return l.api.Resume() }

// Kill ends the API server without warning; its port refuses connections. etcd
// goes on.
func (l *Lab) Kill() error { return kill(l.api) }

func kill(p *lab.Process) error {
	if p != nil {
		p.Kill()
	}
	return nil
}

// ServerLog returns the end of the API server's log.
func (l *Lab) ServerLog() string { return l.api.LogTail() }
