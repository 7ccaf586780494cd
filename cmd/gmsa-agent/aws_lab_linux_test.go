package main

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/s3lab"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// The command line of an EC2 instance: the role of the metadata service, S3 and
// Systems Manager, all of the configuration file.
func TestCredspecResolveAsksAWS(t *testing.T) {
	for _, missing := range []error{s3lab.Ready(), awslab.Ready()} {
		if missing != nil {
			t.Skip(missing)
		}
	}
	objects, err := s3lab.Start(t.Context(), s3lab.Options{PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stopped(t, objects))
	aws, err := awslab.Start(t.Context(), lab.Report(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stopped(t, aws))
	imds, err := awslab.StartMetadata(t.Context(), awslab.Instance{Region: s3lab.Region, ID: objects.Owner.ID, Secret: objects.Owner.Secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stopped(t, imds))
	h := newHost(t, nil)
	cfg := config.Default()
	cfg.AWS.PathStyle = true
	cfg.AWS.Endpoints = map[string]string{"imds": imds.URL, "s3": objects.URL, "ssm": aws.URL}
	text, err := yaml.Dump(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, "config.yaml", text)
	h.canaries = append(h.canaries, []byte(objects.Owner.Secret))
	if err := objects.MakeBucket(t.Context(), "specs"); err != nil {
		t.Fatal(err)
	}
	if err := objects.Put(t.Context(), "specs", "webapp01.json", []byte(credspectest.Document)); err != nil {
		t.Fatal(err)
	}
	if err := aws.Put(t.Context(), awslab.Parameter{Name: "/specs/webapp01", Value: credspectest.Document}); err != nil {
		t.Fatal(err)
	}

	for ref, origin := range map[string]string{
		"s3://specs/webapp01.json":            "origin: s3://specs/webapp01.json (" + s3lab.Region + ")\n",
		"arn:aws:s3:::specs/webapp01.json":    "origin: s3://specs/webapp01.json (" + s3lab.Region + ")\n",
		"credentialspec:ssm://specs/webapp01": "",
		"credentialspecdomainless:arn:aws:ssm:" + awslab.Region + ":" + awslab.AccountID + ":parameter/specs/webapp01": "version 1 (" + awslab.Region + ")\n",
	} {
		code, stdout, stderr := h.gmsaAgent(t, nil, "credspec", "resolve", ref)
		if origin == "" { // the parameter is in another region than the instance
			if code != exitFailed || !strings.Contains(stderr, "region "+s3lab.Region+": 400 ParameterNotFound: not found") {
				t.Errorf("%s: exit code %d, %s", ref, code, stderr)
			}
			continue
		}
		if code != exitDone || stdout != credspectest.Document || !strings.Contains(stderr, origin) {
			t.Errorf("%s: exit code %d, %q, %s", ref, code, stdout, stderr)
		}
	}
	if code, stdout, stderr := h.gmsaAgent(t, nil, "credspec", "resolve", "s3://specs/absent.json"); code != exitFailed || stdout != "" ||
		!strings.Contains(stderr, "bucket specs has no such object: 404 NoSuchKey: not found") {
		t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
	}
}

func stopped(t *testing.T, server interface{ Stop() error }) func() {
	return func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}
}
