package bundle_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestReadSeesWhatTheShimWouldSee(t *testing.T) {
	tests := map[string]struct {
		config string
		want   bundle.Asked
	}{
		"nothing":             {`{}`, bundle.Asked{}},
		"null":                {`null`, bundle.Asked{}},
		"windows is null":     {`{"windows":null}`, bundle.Asked{}},
		"windows without it":  {`{"windows":{"layerFolders":[]}}`, bundle.Asked{}},
		"null credentialSpec": {`{"windows":{"credentialSpec":null}}`, bundle.Asked{}},
		"empty string":        {`{"windows":{"credentialSpec":""}}`, bundle.Asked{}},
		"string":              {`{"windows":{"credentialSpec":"file://a.json"}}`, bundle.Asked{CredentialSpec: "file://a.json"}},
		"escapes":             {`{"windows":{"credentialSpec":"\u0066ile://\"a\""}}`, bundle.Asked{CredentialSpec: `file://"a"`}},
		"object":              {`{"windows":{"credentialSpec":{"CmsPlugins": [1.50]}}}`, bundle.Asked{CredentialSpec: `{"CmsPlugins": [1.50]}`}},
		"number":              {`{"windows":{"credentialSpec":1e999}}`, bundle.Asked{CredentialSpec: `1e999`}},
		"other case":          {`{"WINDOWS":{"CredentialSPEC":"x"}}`, bundle.Asked{CredentialSpec: "x"}},
		"folded rune":         {`{"window` + "\u017f" + `":{"credential` + "\u017f" + `pec":"x"}}`, bundle.Asked{CredentialSpec: "x"}},
		"escaped key":         {`{"\u0077indows":{"credential\u0053pec":"x"}}`, bundle.Asked{CredentialSpec: "x"}},
		"last duplicate":      {`{"windows":{"credentialSpec":"x","CREDENTIALSPEC":"y"}}`, bundle.Asked{CredentialSpec: "y"}},
		"duplicates merge":    {`{"windows":{"credentialSpec":"x"},"Windows":{"layerFolders":[]}}`, bundle.Asked{CredentialSpec: "x"}},
		"null resets":         {`{"windows":{"credentialSpec":"x"},"windows":null}`, bundle.Asked{}},
		"null after string":   {`{"windows":{"credentialSpec":"x","credentialSpec":null}}`, bundle.Asked{}},
		"trailing garbage":    {`{"windows":{"credentialSpec":"x"}} garbage`, bundle.Asked{CredentialSpec: "x"}},
		"annotations": {
			`{"annotations":{"a":"1","a":"2"},"Annotations":{"b":"3"}}`,
			bundle.Asked{Annotations: map[string]string{"a": "2", "b": "3"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := bundle.Read([]byte(test.config))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadRefusesWhatTheShimRefuses(t *testing.T) {
	tests := map[string]string{
		"empty":                 ``,
		"cut short":             `{"windows":{"credentialSpec":"x"}`,
		"byte order mark":       "\ufeff{}",
		"array":                 `[]`,
		"windows is a string":   `{"windows":"x"}`,
		"annotation is a digit": `{"annotations":{"a":1}}`,
		"too deep":              strings.Repeat(`{"a":`, 10001) + `1` + strings.Repeat(`}`, 10001),
		"too large":             `{}` + strings.Repeat(" ", bundle.MaxSize),
	}
	for name, config := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := bundle.Read([]byte(config)); !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("Read: %v, want ErrMalformed", err)
			}
			if _, err := bundle.SetCredentialSpec([]byte(config), []byte("{}")); !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("SetCredentialSpec: %v, want ErrMalformed", err)
			}
		})
	}
}

func TestReadFromSeesAReferenceInAFileOfAnySize(t *testing.T) {
	config := `{"process":{"cwd":"` + strings.Repeat("x", bundle.MaxSize) + `"},"windows":{"credentialSpec":"file://a.json"}}`
	got, err := bundle.ReadFrom(strings.NewReader(config))
	if err != nil || got.CredentialSpec != "file://a.json" {
		t.Errorf("got %q, %v", got.CredentialSpec, err)
	}
}

func TestSetCredentialSpecChangesNothingElse(t *testing.T) {
	const document = `{"a":"<\">"}`
	const quoted = `"{\"a\":\"<\\\">\"}"`
	tests := map[string]struct{ config, want string }{
		"empty object":       {`{}`, `{"windows":{"credentialSpec":` + quoted + `}}`},
		"no windows":         {" {\n\t\"a\": 1.50e+3,\n\t\"b\": \"\\u003c\"\n}\n", " {\n\t\"a\": 1.50e+3,\n\t\"b\": \"\\u003c\",\"windows\":{\"credentialSpec\":" + quoted + "}\n}\n"},
		"windows is null":    {`{"windows": null, "z": 1}`, `{"windows": {"credentialSpec":` + quoted + `}, "z": 1}`},
		"empty windows":      {`{"windows":{ }}`, `{"windows":{"credentialSpec":` + quoted + ` }}`},
		"windows without it": {`{"windows": {"x": [1, {"credentialSpec": 2}] }}`, `{"windows": {"x": [1, {"credentialSpec": 2}],"credentialSpec":` + quoted + ` }}`},
		"replaces in place":  {`{"windows":{"a":1, "credentialSpec" : "old" , "b":2}}`, `{"windows":{"a":1, "credentialSpec" : ` + quoted + ` , "b":2}}`},
		"replaces an object": {`{"windows":{"credentialSpec":{"}":"]"}}}`, `{"windows":{"credentialSpec":` + quoted + `}}`},
		"other spelling":     {`{"Windows":{"CREDENTIALSPEC":"old"}}`, `{"Windows":{"credentialSpec":` + quoted + `}}`},
		"escaped spelling":   {`{"windows":{"\u0063redentialSpec":"old"}}`, `{"windows":{"credentialSpec":` + quoted + `}}`},
		"duplicates":         {`{"windows":{"credentialSpec":"a", "b":1, "CredentialSpec":"c", "d":2, "credentialspec":"e"}}`, `{"windows":{"b":1, "d":2, "credentialSpec":` + quoted + `}}`},
		"only duplicates":    {`{"windows":{ "credentialSpec":"a" , "credentialspec":"e" }}`, `{"windows":{ "credentialSpec":` + quoted + ` }}`},
		"duplicate windows":  {`{"windows":{"credentialSpec":"a"},"b":1,"WINDOWS":{"x":2}}`, `{"windows":{},"b":1,"WINDOWS":{"x":2,"credentialSpec":` + quoted + `}}`},
		"null windows last":  {`{"windows":{"credentialSpec":"a"},"windows":null}`, `{"windows":{},"windows":{"credentialSpec":` + quoted + `}}`},
		"null windows first": {`{"windows":null,"windows":{"credentialSpec":"a"}}`, `{"windows":null,"windows":{"credentialSpec":` + quoted + `}}`},
		"not of windows":     {`{"credentialSpec":"a","linux":{"credentialSpec":"b"}}`, `{"credentialSpec":"a","linux":{"credentialSpec":"b"},"windows":{"credentialSpec":` + quoted + `}}`},
		"trailing garbage":   {`{} {"windows":{}}`, `{"windows":{"credentialSpec":` + quoted + `}} {"windows":{}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := bundle.SetCredentialSpec([]byte(test.config), []byte(document))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Error(diff)
			}
			again, err := bundle.SetCredentialSpec(got, []byte(document))
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("setting it again: %s, %v", again, err)
			}
		})
	}
}

func TestSetCredentialSpecRefusesWhatItCannotCarry(t *testing.T) {
	tests := map[string]struct{ config, document string }{
		"null root":          {`null`, `{}`},
		"not UTF-8":          {`{}`, "{\"a\":\"\xff\"}"},
		"result over limit":  {`{"a":"` + strings.Repeat("x", bundle.MaxSize-100) + `"}`, strings.Repeat("y", 200)},
		"windows is a list":  {`{"windows":[]}`, `{}`},
		"config is one char": {`{`, `{}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := bundle.SetCredentialSpec([]byte(test.config), []byte(test.document)); !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("%v, want ErrMalformed", err)
			}
		})
	}
}

func TestErrorsCarryNothingOfTheFile(t *testing.T) {
	const canary = "Pa55word-canary"
	_, err := bundle.Read([]byte(`{"windows":{"credentialSpec":"` + canary + `"`))
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("error %v", err)
	}
	var syntax *json.SyntaxError
	if _, err := bundle.Read([]byte(`{"a":x}`)); !errors.As(err, &syntax) {
		t.Errorf("%v does not say where", err)
	}
}
