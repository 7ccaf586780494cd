package gcpsecretmanager_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets/gcpsecretmanager"
)

func TestAnAnswersNameIsOfWhatWasAskedFor(t *testing.T) {
	const latest = "projects/contoso-prod/secrets/gmsa/versions/latest"
	const three = "projects/123/locations/europe-west3/secrets/gmsa/versions/3"
	for _, c := range []struct{ asked, name, want string }{
		{latest, "projects/123/secrets/gmsa/versions/7", "7"},
		{latest, "projects/contoso-prod/secrets/gmsa/versions/7", "7"},
		{latest, "projects/fabrikam/secrets/gmsa/versions/7", ""},
		{latest, "projects/123/secrets/gmsa/versions/latest", ""},
		{latest, "projects/123/secrets/GMSA/versions/7", ""},
		{latest, "projects/123/secrets/gmsa/versions/", ""},
		{latest, "projects/123/locations/europe-west3/secrets/gmsa/versions/7", ""},
		{latest, "projects/123/secrets/gmsa/versions/7/x", ""},
		{latest, "", ""},
		{three, three, "3"},
		{three, "projects/123/locations/europe-west3/secrets/gmsa/versions/4", ""},
		{three, "projects/456/locations/europe-west3/secrets/gmsa/versions/3", ""},
		{three, "projects/123/locations/us-central1/secrets/gmsa/versions/3", ""},
		{"projects/123/secrets/gmsa/versions/003", "projects/123/secrets/gmsa/versions/3", "3"},
	} {
		if got, ok := gcpsecretmanager.Answers(c.asked, c.name); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s answers %s: %q, %v", c.name, c.asked, got, ok)
		}
	}
}

func FuzzAnswersName(f *testing.F) {
	f.Add("projects/contoso-prod/secrets/gmsa/versions/latest", "projects/123/secrets/gmsa/versions/7")
	f.Fuzz(func(t *testing.T, asked, name string) {
		if version, ok := gcpsecretmanager.Answers(asked, name); ok && (version == "" || strings.Trim(version, "0123456789") != "") {
			t.Errorf("version %q", version)
		}
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED","details":[{"reason":"SERVICE_DISABLED"}]}}`))
	f.Add([]byte(`{"error":{"message":"Secret Version [x] is in DISABLED state."}}`))
	f.Add([]byte(`{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, text := range []string{gcpsecretmanager.GoogleAnswer(body), gcpsecretmanager.OAuthAnswer(body)} {
			if len(text) > 256 {
				t.Errorf("%q became %q", body, text)
			}
		}
	})
}

// FuzzCredentialsFile: what is accepted is good, and what is not has an error
// of its kind that shows nothing of it.
func FuzzCredentialsFile(f *testing.F) {
	f.Add([]byte(`{"type":"service_account","private_key_id":"1","private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n","client_email":"a@b"}`))
	f.Add([]byte(`{"type":"external_account","audience":"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/o","token_url":"https://sts.googleapis.com/v1/token","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","credential_source":{"url":"https://x/","headers":{"a":"b"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, err := range []error{gcpsecretmanager.ParseKey(b), gcpsecretmanager.ParseFederation(b)} {
			if err != nil && errors.Is(err, fault.ErrUnavailable) == errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%v", err)
			}
			if err != nil && len(err.Error()) > 256 {
				t.Errorf("the error is long: %v", err)
			}
		}
	})
}
