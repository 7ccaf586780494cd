package awsclient

import (
	"strings"
	"testing"
)

func TestReadProfileFindsKeys(t *testing.T) {
	for name, tt := range map[string]struct {
		text, profile string
		want          keys
	}{
		"plain":        {"[default]\naws_access_key_id=AKIA1\naws_secret_access_key=s/1+\n", "default", keys{"AKIA1", "s/1+", ""}},
		"session":      {"[default]\naws_access_key_id = A\naws_secret_access_key = b\naws_session_token = c==\n", "default", keys{"A", "b", "c=="}},
		"second":       {"[default]\naws_access_key_id=x\naws_secret_access_key=x\n[agent]\naws_access_key_id=A\naws_secret_access_key=b", "agent", keys{"A", "b", ""}},
		"windows":      {"\ufeff[default]\r\naws_access_key_id = A\r\naws_secret_access_key = b\r\n", "default", keys{"A", "b", ""}},
		"comments":     {"# hello\n[ default ] ; mine\n; x\naws_access_key_id=A\nregion = eu-west-1\nother =\n  nested = 1\naws_secret_access_key=b\n", "default", keys{"A", "b", ""}},
		"any case":     {"[default]\nAWS_ACCESS_KEY_ID=A\nAws_Secret_Access_Key=b\n", "default", keys{"A", "b", ""}},
		"in two parts": {"[default]\naws_access_key_id=A\n[x]\n[default]\naws_secret_access_key=b\n", "default", keys{"A", "b", ""}},
		"others' ways": {"[default]\naws_access_key_id=A\naws_secret_access_key=b\n[sso]\nsso_session=x\n", "default", keys{"A", "b", ""}},
	} {
		got, err := readProfile(tt.text, tt.profile)
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestReadProfileSaysWhatIsWrongWithoutValues(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      `has no profile "default"`,
		"[other]\naws_access_key_id=canary\n":   `has no profile "default"`,
		"[default]\naws_access_key_id=canary\n": "has not both",
		"[default\n":                            "line 1: a section without ]",
		"[default]\ncanary\n":                   "line 2: is not KEY = VALUE",
		"[default]\n\ncredential_process = /bin/canary\n":                                "line 3: profile \"default\" has credential_process, which is not supported",
		"[default]\nsso_start_url = https://canary\n":                                    "has sso_start_url",
		"[default]\naws_access_key_id=A\naws_secret_access_key=b\nrole_arn=canary\n":     "has role_arn",
		"[default]\naws_access_key_id=A\naws_secret_access_key=canary \x01b\n":           "line 3: profile \"default\" has a malformed aws_secret_access_key",
		"[default]\naws_access_key_id=A\naws_secret_access_key=canary # not a comment\n": "malformed aws_secret_access_key",
	} {
		_, err := readProfile(text, "default")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: the error repeats a value: %v", text, err)
		}
	}
}

func FuzzReadProfile(f *testing.F) {
	f.Add("[default]\naws_access_key_id=A\naws_secret_access_key=b\naws_session_token=c\n", "default")
	f.Add("\ufeff[ x ]\r\ncredential_process = y\r\n", "x")
	f.Fuzz(func(t *testing.T, text, name string) {
		got, err := readProfile(text, name)
		if err != nil {
			return
		}
		for _, v := range []string{got.id, got.secret} {
			if v == "" || strings.ContainsAny(v, " \t\r\n\x00") || !strings.Contains(text, v) {
				t.Errorf("%q is a key of %q", v, text)
			}
		}
	})
}
