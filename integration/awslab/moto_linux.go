package awslab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go/logging"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Region is the one that the lab's own requests go to.
const Region = "eu-west-1"

// AccountID is whose everything in moto is.
const AccountID = "123456789012"

// Lab is a running moto.
type Lab struct {
	URL string // of all of its services

	dir    string
	server *lab.Process
}

// Start starts a lab. The caller calls Stop.
func Start(ctx context.Context, report lab.Reporter) (*Lab, error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gmsa-aws-")
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the AWS lab: %w", err), l.Stop())
	}
	report("moto is at %s", l.URL)
	return l, nil
}

// listening is what moto logs once it accepts connections.
var listening = regexp.MustCompile(`Running on (http://127\.0\.0\.1:[0-9]+)`)

func (l *Lab) start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, lab.StartTimeout) // two seconds, and more the first time
	defer cancel()
	log := filepath.Join(l.dir, "log")
	path, args, env := python("-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
	l.server, err = lab.Start(lab.Options{
		Path: path, Args: args, Log: log, Dir: l.dir,
		Env: append(env, "PYTHONUNBUFFERED=1", "HOME="+l.dir, "MOTO_ACCOUNT_ID="+AccountID),
	})
	if err != nil {
		return err
	}
	return lab.WaitFor(ctx, "moto's address", func(context.Context) error {
		text, err := os.ReadFile(log)
		m := listening.FindSubmatch(text)
		if m == nil {
			return errors.Join(errors.New("not in its log"), err, l.server.Exited())
		}
		l.URL = string(m[1])
		return nil
	})
}

// Parameter is a parameter of Systems Manager.
type Parameter struct {
	Name  string
	Value string
	Type  types.ParameterType // empty: SecureString
}

// Put stores a parameter, or a new version of it.
func (l *Lab) Put(ctx context.Context, p Parameter) error {
	if p.Type == "" {
		p.Type = types.ParameterTypeSecureString
	}
	_, err := l.parameters().PutParameter(ctx, &ssm.PutParameterInput{
		Name: &p.Name, Value: &p.Value, Type: p.Type, Overwrite: aws.Bool(true), Tier: types.ParameterTierAdvanced,
	})
	return err
}

// Delete removes a parameter with its versions.
func (l *Lab) Delete(ctx context.Context, name string) error {
	_, err := l.parameters().DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &name})
	return err
}

func (l *Lab) parameters() *ssm.Client {
	return ssm.New(ssm.Options{
		BaseEndpoint: &l.URL, Region: Region, HTTPClient: http.DefaultClient, Logger: logging.Nop{}, Credentials: anybody,
	})
}

// Stop ends moto and removes what it had.
func (l *Lab) Stop() error { return errors.Join(l.server.Stop(lab.StopGrace), os.RemoveAll(l.dir)) }
