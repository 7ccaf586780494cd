package s3_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/s3lab"
	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// server is the lab's, started by the first test that needs it and stopped
// after the last one.
var server struct {
	sync.Once
	lab *s3lab.Lab
	err error
}

// bucket is where the tests' objects are.
const bucket = "credential.specs" // with a dot, which no host's certificate covers

func TestMain(m *testing.M) {
	code := m.Run()
	if server.lab != nil {
		if err := server.lab.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func startLab(t *testing.T) *s3lab.Lab {
	t.Helper()
	if err := s3lab.Ready(); err != nil {
		t.Skip(err)
	}
	server.Do(func() {
		if server.lab, server.err = s3lab.Start(context.Background(), s3lab.Options{Report: lab.Report(t)}); server.err == nil {
			server.err = server.lab.MakeBucket(t.Context(), bucket)
		}
	})
	if server.err != nil {
		t.Fatal(server.err)
	}
	return server.lab
}

// as is the configuration for an account of the lab.
func as(t *testing.T, l *s3lab.Lab, a s3lab.Account) awsclient.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := a.WriteCredentials(file); err != nil {
		t.Fatal(err)
	}
	return awsclient.Config{
		Credentials: "profile", ProfileFile: file, Region: s3lab.Region, CAFile: l.CAFile, PathStyle: true,
		Endpoints: map[string]string{"s3": l.URL},
	}
}

func ref(t *testing.T, text string) credspec.Ref {
	t.Helper()
	r, err := credspec.ParseRef(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func put(t *testing.T, l *s3lab.Lab, key string, data []byte) {
	t.Helper()
	if err := l.Put(t.Context(), bucket, key, data); err != nil {
		t.Fatal(err)
	}
}

func TestSourceAgainstVersitygw(t *testing.T) {
	for name, prefix := range map[string]string{"url": "s3://", "arn": "arn:aws:s3:::"} {
		t.Run(name, func(t *testing.T) {
			credspectest.Run(t, func(t *testing.T) credspectest.Fixture {
				l := startLab(t)
				return credspectest.Fixture{
					Source: source(t, as(t, l, l.Owner)),
					Put: func(t *testing.T, name string, data []byte) credspec.Ref {
						put(t, l, t.Name()+"/"+name+".json", data)
						return ref(t, prefix+bucket+"/"+t.Name()+"/"+name+".json")
					},
					Missing: ref(t, prefix+bucket+"/absent.json"),
				}
			})
		})
	}
}

func TestAnUnchangedObjectIsNotTransferred(t *testing.T) {
	l := startLab(t)
	s := source(t, as(t, l, l.Owner))
	r := ref(t, "s3://"+bucket+"/tagged.json")
	put(t, l, "tagged.json", []byte(credspectest.Document))
	doc, err := s.Resolve(t.Context(), r)
	if err != nil || doc.Tag == "" {
		t.Fatalf("tag %q, error %v", doc.Tag, err)
	}
	if again, err := s.Revalidate(t.Context(), r, doc.Tag); !errors.Is(err, credspec.ErrUnchanged) || again.Data != nil {
		t.Errorf("unchanged: %v, %v", again, err)
	}
	put(t, l, "tagged.json", []byte(`{"changed": true}`))
	changed, err := s.Revalidate(t.Context(), r, doc.Tag)
	if err != nil || string(changed.Data) != `{"changed": true}` || changed.Tag == doc.Tag {
		t.Errorf("changed: %v, tag %q, error %v", changed, changed.Tag, err)
	}
	if other, err := s.Revalidate(t.Context(), r, "no tag\nof S3's"); err != nil || other.Data == nil {
		t.Errorf("with a tag of something else: %v, %v", other, err)
	}
}

func TestRefusalsOfARealServer(t *testing.T) {
	l := startLab(t)
	put(t, l, "secret.json", []byte(credspectest.Document))
	wrongKey := l.Owner
	wrongKey.Secret = l.Stranger.Secret
	unknown := s3lab.Account{ID: "AKIAUNKNOWN000000000", Secret: "x"}
	for name, tt := range map[string]struct {
		account s3lab.Account
		ref     string
		kind    error
		text    string
	}{
		"missing bucket":    {l.Owner, "s3://no-such-bucket/x.json", fault.ErrNotFound, "there is no bucket no-such-bucket: 404 NoSuchBucket"},
		"missing key":       {l.Owner, "s3://" + bucket + "/x.json", fault.ErrNotFound, "bucket " + bucket + " has no such object: 404 NoSuchKey"},
		"forbidden":         {l.Stranger, "s3://" + bucket + "/secret.json", fault.ErrDenied, "the agent may not read it (s3:GetObject)"},
		"wrong secret key":  {wrongKey, "s3://" + bucket + "/secret.json", fault.ErrDenied, "403 SignatureDoesNotMatch"},
		"unknown key":       {unknown, "s3://" + bucket + "/secret.json", fault.ErrDenied, "InvalidAccessKeyId"},
		"another partition": {l.Owner, "arn:aws-cn:s3:::" + bucket + "/secret.json", fault.ErrMalformed, "is not in partition"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := source(t, as(t, l, tt.account)).Resolve(t.Context(), ref(t, tt.ref))
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v and %q", err, tt.kind, tt.text)
			}
			for _, secret := range []string{tt.account.Secret, tt.account.ID, "DomainJoinConfig"} {
				if err != nil && secret != "x" && strings.Contains(err.Error(), secret) {
					t.Errorf("the error has %q: %v", secret, err)
				}
			}
		})
	}
}

func TestACertificateThatNobodyTrustsIsAnUnavailableServer(t *testing.T) {
	l := startLab(t)
	cfg := as(t, l, l.Owner)
	cfg.CAFile = ""
	_, err := source(t, cfg).Resolve(t.Context(), ref(t, "s3://"+bucket+"/x.json"))
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
}

func TestAServerThatWentAwayIsUnavailable(t *testing.T) {
	if err := s3lab.Ready(); err != nil {
		t.Skip(err)
	}
	l, err := s3lab.Start(t.Context(), s3lab.Options{PlainHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	s := source(t, as(t, l, l.Owner))
	_, before := s.Resolve(t.Context(), ref(t, "s3://"+bucket+"/x.json"))
	if err := l.Stop(); err != nil {
		t.Fatal(err)
	}
	_, after := s.Resolve(t.Context(), ref(t, "s3://"+bucket+"/x.json"))
	if !errors.Is(before, fault.ErrNotFound) || !errors.Is(after, fault.ErrUnavailable) {
		t.Errorf("before: %v; after: %v", before, after)
	}
}

// The whole way of an EC2 instance: the metadata service has the role's keys and
// the region, S3 checks the signature made with them.
func TestAnInstanceReadsWithItsRole(t *testing.T) {
	l := startLab(t)
	if err := awslab.Ready(); err != nil {
		t.Skip(err)
	}
	put(t, l, "instance.json", []byte(credspectest.Document))
	imds, err := awslab.StartMetadata(t.Context(), awslab.Instance{Region: s3lab.Region, ID: l.Owner.ID, Secret: l.Owner.Secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := imds.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := source(t, awsclient.Config{CAFile: l.CAFile, PathStyle: true, Endpoints: map[string]string{"s3": l.URL, "imds": imds.URL}})
	doc, err := s.Resolve(t.Context(), ref(t, "s3://"+bucket+"/instance.json"))
	if err != nil || string(doc.Data) != credspectest.Document {
		t.Fatalf("%v, %v", doc, err)
	}
	if want := "s3://" + bucket + "/instance.json (" + s3lab.Region + ")"; doc.Origin != want {
		t.Errorf("origin %q, want %q", doc.Origin, want)
	}
}
