package s3lab

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// Region is the one that the server takes signatures for.
const Region = "eu-central-1"

// Options say how a lab is started.
type Options struct {
	PlainHTTP bool         // without TLS
	Report    lab.Reporter // nil: silent
}

// Account is who may ask.
type Account struct{ ID, Secret string }

func newAccount() Account { return Account{"AKIA" + rand.Text()[:16], rand.Text()} }

// Lab is a running server.
type Lab struct {
	URL      string  // of the server, with buckets in the path
	CAFile   string  // the authority that signed its certificate; empty without TLS
	Owner    Account // of everything in it
	Stranger Account // who may read nothing of it

	dir    string
	server *lab.Process
	client *s3.Client
}

// Start starts a lab. The caller calls Stop.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gmsa-s3-")
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir, Owner: newAccount(), Stranger: newAccount()}
	if err := l.start(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("start the S3 lab: %w", err), l.Stop())
	}
	if o.Report != nil {
		o.Report("S3 is at %s", l.URL)
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, lab.StartTimeout) // all of it takes half a second
	defer cancel()
	for _, d := range []string{"objects", "accounts"} {
		if err := os.Mkdir(l.path(d), 0o700); err != nil {
			return err
		}
	}
	scheme, args := "http", []string{"--region", Region, "--iam-dir", l.path("accounts"), "--quiet"}
	if !o.PlainHTTP {
		if err := lab.WriteTLS(l.path("tls"), "S3 lab CA", lab.ServerTemplate([]string{"localhost"}, net.IPv4(127, 0, 0, 1))); err != nil {
			return err
		}
		l.CAFile = l.path("tls", "ca.pem")
		scheme, args = "https", append(args, "--cert", l.path("tls", "cert.pem"), "--key", l.path("tls", "key.pem"))
	}
	if err := l.listen(ctx, scheme, args); err != nil {
		return err
	}
	return l.addStranger(ctx)
}

// listen starts the server, again where somebody else was quicker to take its
// port.
func (l *Lab) listen(ctx context.Context, scheme string, args []string) error {
	var err error
	for range 3 {
		var address string
		if address, err = lab.Address(); err != nil {
			return err
		}
		l.URL = scheme + "://" + address
		l.server, err = lab.Start(lab.Options{
			Path: binary(), Args: append(args, "--port", address, "posix", l.path("objects")), Log: l.path("log"), Dir: l.dir,
			Env: []string{"ROOT_ACCESS_KEY_ID=" + l.Owner.ID, "ROOT_SECRET_ACCESS_KEY=" + l.Owner.Secret},
		})
		if err != nil {
			return err
		}
		if l.client, err = l.newClient(); err != nil {
			return err
		}
		err = lab.WaitFor(ctx, "the S3 server", func(ctx context.Context) error {
			_, err := l.client.ListBuckets(ctx, &s3.ListBucketsInput{})
			if l.server.Exited() != nil {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		if err = l.server.Exited(); err == nil {
			return nil
		}
	}
	return err
}

func (l *Lab) newClient() (*s3.Client, error) {
	t, err := outbound.Transport(outbound.Config{CAFile: l.CAFile})
	if err != nil {
		return nil, err
	}
	return s3.New(s3.Options{
		BaseEndpoint: &l.URL, Region: Region, UsePathStyle: true, HTTPClient: &http.Client{Transport: t}, Logger: logging.Nop{},
		RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: l.Owner.ID, SecretAccessKey: l.Owner.Secret}, nil
		}),
	}), nil
}

// addStranger makes the second account, with the server's own tool.
func (l *Lab) addStranger(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, binary(), "admin", "--endpoint-url", l.URL, "create-user", "--access", l.Stranger.ID, "--secret", l.Stranger.Secret, "--role", "user")
	cmd.Env = []string{"ADMIN_ACCESS_KEY_ID=" + l.Owner.ID, "ADMIN_SECRET_ACCESS_KEY=" + l.Owner.Secret, "ADMIN_REGION=" + Region,
		"ADMIN_ALLOW_INSECURE=true"} // its certificate is the lab's own
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("add an account: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// MakeBucket makes a bucket.
func (l *Lab) MakeBucket(ctx context.Context, name string) error {
	_, err := l.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name})
	return err
}

// Put stores an object, or replaces it.
func (l *Lab) Put(ctx context.Context, bucket, key string, data []byte) error {
	_, err := l.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)})
	return err
}

// WriteCredentials writes a credentials file, as the AWS CLI has it, with an
// account as its default profile.
func (a Account) WriteCredentials(path string) error {
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", a.ID, a.Secret)
	return os.WriteFile(path, []byte(text), 0o600)
}

// Stop ends the server and removes what it had.
func (l *Lab) Stop() error {
	return errors.Join(l.server.Stop(lab.StopGrace), os.RemoveAll(l.dir))
}

func (l *Lab) path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }
