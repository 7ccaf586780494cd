package kubelab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Options say how a lab is started.
type Options struct {
	Report lab.Reporter // nil: silent
}

// Lab is a running API server.
type Lab struct {
	URL    string // https://127.0.0.1:PORT
	CAFile string // the certificate that signed the server's

	dir       string
	authority *lab.Authority
	admin     *http.Client
	etcd, api *lab.Process
	starts    int
	files     atomic.Int64 // kubeconfigs written
}

// Start starts a lab, which takes five seconds. The caller calls Stop.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	if o.Report == nil {
		o.Report = func(string, ...any) {}
	}
	// A socket's path may have 107 bytes, so not in a test's long folder.
	dir, err := os.MkdirTemp("", "gmsa-kube-")
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir, CAFile: filepath.Join(dir, "ca.pem")}
	begin := time.Now()
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the Kubernetes lab: %w", err), l.Stop())
	}
	o.Report("kube-apiserver %s listens on %s after %v", version, l.URL, time.Since(begin).Round(time.Millisecond))
	return l, nil
}

func (l *Lab) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lab.StartTimeout)
	defer cancel()
	if err := l.writeKeys(); err != nil {
		return err
	}
	if err := l.startEtcd(ctx); err != nil {
		return err
	}
	if err := l.StartServer(ctx); err != nil {
		return err
	}
	root, err := lab.ModuleRoot()
	if err != nil {
		return err
	}
	crd, err := os.ReadFile(filepath.Join(root, "deploy", "kubernetes", "gmsacredentialspecs.yaml"))
	if err != nil {
		return err
	}
	if err := l.Apply(ctx, crd); err != nil {
		return err
	}
	return lab.WaitFor(ctx, "the GMSACredentialSpec API", func(ctx context.Context) error {
		return l.do(ctx, http.MethodGet, specs, nil, nil)
	})
}

// Path returns a path in the lab's folder, which goes with the lab.
func (l *Lab) Path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }

// Stop ends both servers and removes the lab's folder.
func (l *Lab) Stop() error {
	if l.admin != nil {
		l.admin.CloseIdleConnections()
	}
	// One that is paused ends only by being killed; what is in etcd is not kept,
	// so neither server needs time to end.
	err := errors.Join(l.Kill(), kill(l.etcd))
	return errors.Join(err, os.RemoveAll(l.dir))
}
