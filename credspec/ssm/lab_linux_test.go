package ssm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// moto is the lab's, started by the first test that needs it and stopped after
// the last one.
var moto struct {
	sync.Once
	lab *awslab.Lab
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if moto.lab != nil {
		if err := moto.lab.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func startLab(t *testing.T) *awslab.Lab {
	t.Helper()
	if err := awslab.Ready(); err != nil {
		t.Skip(err)
	}
	moto.Do(func() { moto.lab, moto.err = awslab.Start(context.Background(), lab.Report(t)) })
	if moto.err != nil {
		t.Fatal(moto.err)
	}
	return moto.lab
}

func put(t *testing.T, l *awslab.Lab, p awslab.Parameter) {
	t.Helper()
	if err := l.Put(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func TestSourceAgainstMoto(t *testing.T) {
	for form, prefix := range map[string]string{"name": "ssm://", "arn": "arn:aws:ssm:" + awslab.Region + ":" + awslab.AccountID + ":parameter"} {
		t.Run(form, func(t *testing.T) {
			credspectest.Run(t, func(t *testing.T) credspectest.Fixture {
				l := startLab(t)
				return credspectest.Fixture{
					Source: source(t, config(t, l.URL)),
					Put: func(t *testing.T, name string, data []byte) credspec.Ref {
						name = "/" + strings.Map(letter, t.Name()) + "/" + name
						put(t, l, awslab.Parameter{Name: name, Value: string(data)})
						return ref(t, prefix+name)
					},
					Missing: ref(t, prefix+"/absent"),
				}
			})
		})
	}
}

// letter keeps what parameters' names may have.
func letter(r rune) rune {
	if r == '/' || r == '-' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return '_'
}

func TestNamesLeadToTheParametersThatTheyName(t *testing.T) {
	l := startLab(t)
	s := source(t, config(t, l.URL))
	put(t, l, awslab.Parameter{Name: "webapp01", Value: "a plain name"})
	put(t, l, awslab.Parameter{Name: "/specs/webapp01", Value: "in a hierarchy"})
	put(t, l, awslab.Parameter{Name: "plain-string", Value: "not encrypted", Type: types.ParameterTypeString})
	// moto takes every ARN for one of a name in a hierarchy.
	arn := "arn:aws:ssm:" + awslab.Region + ":" + awslab.AccountID + ":parameter/"
	for text, want := range map[string]string{
		"ssm://webapp01":                  "a plain name",
		"ssm:///specs/webapp01":           "in a hierarchy",
		"ssm://specs/webapp01":            "in a hierarchy",
		arn + "specs/webapp01":            "in a hierarchy",
		"ssm://plain-string":              "not encrypted",
		"ssm://specs/webapp01:1":          "in a hierarchy",
		"ssm://" + arn + "specs/webapp01": "in a hierarchy",
	} {
		doc, err := s.Resolve(t.Context(), ref(t, text))
		if err != nil || string(doc.Data) != want {
			t.Errorf("%s: %q, %v, want %q", text, doc.Data, err, want)
		}
	}
	for text, part := range map[string]string{
		"ssm://webapp01:7": "400 ParameterVersionNotFound",
		"ssm:///webapp02":  "400 ParameterNotFound",
		"arn:aws:ssm:eu-north-1:" + awslab.AccountID + ":parameter/webapp01": "region eu-north-1: 400 ParameterNotFound",
	} {
		if _, err := s.Resolve(t.Context(), ref(t, text)); !errors.Is(err, fault.ErrNotFound) || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %v, want %q", text, err, part)
		}
	}
}

func TestAListOfStringsIsNoDocument(t *testing.T) {
	l := startLab(t)
	put(t, l, awslab.Parameter{Name: "list", Value: "canary,b", Type: types.ParameterTypeStringList})
	_, err := source(t, config(t, l.URL)).Resolve(t.Context(), ref(t, "ssm://list"))
	if !errors.Is(err, fault.ErrMalformed) || strings.Contains(err.Error(), "canary") {
		t.Errorf("error %v", err)
	}
}

func TestATagIsThatOfOneValue(t *testing.T) {
	l := startLab(t)
	s := source(t, config(t, l.URL))
	put(t, l, awslab.Parameter{Name: "tagged", Value: "1"})
	r := ref(t, "ssm://tagged")
	first, err := s.Resolve(t.Context(), r)
	if err != nil || first.Tag == "" {
		t.Fatalf("tag %q, error %v", first.Tag, err)
	}
	if _, err := s.Revalidate(t.Context(), r, first.Tag); !errors.Is(err, credspec.ErrUnchanged) {
		t.Errorf("unchanged: error %v", err)
	}
	put(t, l, awslab.Parameter{Name: "tagged", Value: "2"})
	second, err := s.Revalidate(t.Context(), r, first.Tag)
	if err != nil || string(second.Data) != "2" || second.Tag == first.Tag {
		t.Errorf("changed: %q, tag %q, error %v", second.Data, second.Tag, err)
	}
	// Made again, it begins at version 1 again.
	if err := l.Delete(t.Context(), "tagged"); err != nil {
		t.Fatal(err)
	}
	put(t, l, awslab.Parameter{Name: "tagged", Value: "3"})
	third, err := s.Revalidate(t.Context(), r, first.Tag)
	if err != nil || string(third.Data) != "3" {
		t.Errorf("made again: %q, error %v", third.Data, err)
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
