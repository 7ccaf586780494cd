package ssm

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestParseReadsNamesAndARNs(t *testing.T) {
	const arn, cn = "arn:aws:ssm:eu-west-1:123456789012:parameter/", "arn:aws-cn:ssm:cn-north-1:123456789012:parameter/"
	for text, want := range map[string]parameter{
		"webapp01":          {"webapp01", "", ""},
		"/webapp01":         {"/webapp01", "", ""},
		"a/b":               {"/a/b", "", ""},
		"/a/b":              {"/a/b", "", ""},
		"a/b:3":             {"/a/b:3", "", ""},
		"web.app-01_x:prod": {"web.app-01_x:prod", "", ""},
		arn + "webapp01":    {arn + "webapp01", "aws", "eu-west-1"},
		arn + "a/b:3":       {arn + "a/b:3", "aws", "eu-west-1"},
		cn + "a":            {cn + "a", "aws-cn", "cn-north-1"},
	} {
		got, err := parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(parameter{})); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

func TestParseRefusesWhatCanBeNoParameter(t *testing.T) {
	for _, text := range []string{
		"", "/", "a b", "a//b", "/a/", "a:", "a:b:c", "{{ssm:x}}", "a?version=1", strings.Repeat("n", 2049),
		"arn:aws:ssm", "arn:aws:ssm:eu-west-1:me:parameter/x", "arn:aws:ssm:eu-west-1:1:document/x", "arn:aws:ssm:eu-west-1:1:parameter/",
		"arn:aws:ssm:eu-west-1:1:parameter//x",
	} {
		if got, err := parse(text); !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("%.40q: %+v, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"webapp01", "a/b:3", "arn:aws:ssm:eu-west-1:123456789012:parameter/a/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parse(s)
		switch {
		case err != nil && !errors.Is(err, fault.ErrMalformed):
			t.Errorf("%q: error %v has no kind", s, err)
		case err == nil && !strings.HasSuffix(p.name, s):
			t.Errorf("%q is not the end of %q", s, p.name)
		}
	})
}
