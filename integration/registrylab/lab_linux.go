package registrylab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/crypto/bcrypt"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Options say how a lab is started.
type Options struct {
	PlainHTTP bool         // without TLS
	Anonymous bool         // open to all
	Report    lab.Reporter // nil: silent
}

// Lab is a running registry.
type Lab struct {
	// Host is where it listens, as a reference has it: 127.0.0.1:40123.
	Host string
	// CAFile is the authority that signed its certificate; empty without TLS.
	CAFile string
	// Username is its one user, and PasswordFile has the user's password; empty
	// where it is open to all.
	Username, PasswordFile string

	dir      string
	registry *lab.Process
}

// Start starts a lab. The caller calls Stop.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	if o.Report == nil {
		o.Report = func(string, ...any) {}
	}
	dir, err := os.MkdirTemp("", "gmsa-registry-")
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir}
	if err := l.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the registry lab: %w", err), l.Stop())
	}
	o.Report("the registry runs at %s", l.Host)
	return l, nil
}

const config = `version: 0.1
log: {level: info, formatter: text, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
  maintenance: {uploadpurging: {enabled: false}}
http:
  addr: 127.0.0.1:0
  secret: %q
`

func (l *Lab) start(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, lab.StartTimeout) // all of it takes half a second
	defer cancel()
	text := fmt.Sprintf(config, l.path("storage"), rand.Text())
	if !o.PlainHTTP {
		if err := lab.WriteTLS(l.path("tls"), "registry lab CA", lab.ServerTemplate([]string{"localhost"}, net.IPv4(127, 0, 0, 1))); err != nil {
			return err
		}
		l.CAFile = l.path("tls", "ca.pem")
		text += fmt.Sprintf("  tls: {certificate: %q, key: %q}\n", l.path("tls", "cert.pem"), l.path("tls", "key.pem"))
	}
	if !o.Anonymous {
		if err := l.writeUser(); err != nil {
			return err
		}
		text += fmt.Sprintf("auth: {htpasswd: {realm: lab, path: %q}}\n", l.path("htpasswd"))
	}
	file := l.path("config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	var err error
	l.registry, err = lab.Start(lab.Options{
		Path: binary(), Args: []string{"serve", file}, Log: l.path("log"), Dir: l.dir,
		// Or it looks for a collector of traces.
		Env: []string{"OTEL_TRACES_EXPORTER=none", "PATH=" + os.Getenv("PATH"), "HOME=" + l.dir},
	})
	if err != nil {
		return err
	}
	return lab.WaitFor(ctx, "the registry's address", func(context.Context) error {
		log, err := os.ReadFile(l.path("log"))
		m := listening.FindSubmatch(log)
		if m == nil {
			return errors.Join(errors.New("not in its log"), err, l.registry.Exited())
		}
		l.Host = string(m[1])
		return nil
	})
}

// listening is what the registry logs once it accepts connections.
var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)

// writeUser makes the one user, with a password of its own.
func (l *Lab) writeUser() error {
	password := rand.Text()
	// The cost is for real passwords: this one has 128 random bits.
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return err
	}
	l.Username, l.PasswordFile = "robot", l.path("password")
	return errors.Join(
		os.WriteFile(l.path("htpasswd"), fmt.Appendf(nil, "%s:%s\n", l.Username, hash), 0o600),
		os.WriteFile(l.PasswordFile, []byte(password+"\n"), 0o600),
	)
}

func (l *Lab) path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }

// Stop ends the registry and removes everything that it wrote. It may be called
// more than once.
func (l *Lab) Stop() error {
	err := l.registry.Stop(lab.StopGrace)
	l.registry = nil
	return errors.Join(err, os.RemoveAll(l.dir))
}
