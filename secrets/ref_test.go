package secrets_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

const (
	objectID = "11111111-2222-3333-4444-555555555555"
	arn      = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gmsa/contoso-AbCdEf"
	ssmARN   = "arn:aws:ssm:eu-west-1:123456789012:parameter/gmsa/contoso"
	version  = "0123456789abcdef0123456789abcdef"
)

func TestParseRefMakesSpellingsCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"local://contoso":          "local://contoso",
		" LOCAL://Contoso.Com\r\n": "local://contoso.com",

		"azurekeyvault://Contoso.vault.azure.net/secrets/gMSA":                                  "azurekeyvault://contoso.vault.azure.net/secrets/gMSA",
		"azurekeyvault://contoso.vault.azure.net:443/secrets/gmsa/":                             "azurekeyvault://contoso.vault.azure.net/secrets/gmsa",
		"azurekeyvault://contoso.vault.azure.net:8443/Secrets/gmsa":                             "azurekeyvault://contoso.vault.azure.net:8443/secrets/gmsa",
		"azurekeyvault://contoso.vault.azure.net/secrets/gmsa/" + version + "?workload=true":    "azurekeyvault://contoso.vault.azure.net/secrets/gmsa/" + version + "?workload=true",
		"azurekeyvault://c.vault.azure.net/secrets/gmsa?object_id=" + strings.ToUpper(objectID): "azurekeyvault://c.vault.azure.net/secrets/gmsa?object_id=" + objectID,
		"azurekeyvault://c.vault.azure.net/secrets/gmsa?client_id=" + objectID:                  "azurekeyvault://c.vault.azure.net/secrets/gmsa?client_id=" + objectID,

		"kubernetes://gmsa-system/contoso.user": "kubernetes://gmsa-system/contoso.user",

		"vault://kv/gmsa/contoso":            "vault://kv/gmsa/contoso",
		"vault://kv/gmsa/contoso?field=pw":   "vault://kv/gmsa/contoso?field=pw",
		"vault://kv/My App/ü?field=pass%26x": "vault://kv/My App/ü?field=pass%26x",

		"awssecretsmanager://gmsa/contoso":                                    "awssecretsmanager://gmsa/contoso",
		"awssecretsmanager://gmsa?version_stage=AWSPREVIOUS&region=us-east-1": "awssecretsmanager://gmsa?region=us-east-1&version_stage=AWSPREVIOUS",
		arn:                          "awssecretsmanager://" + arn,
		"ARN" + arn[3:]:              "awssecretsmanager://" + arn,
		"awssecretsmanager://" + arn: "awssecretsmanager://" + arn,
		strings.Replace(arn, ":aws:", ":aws-us-gov:", 1): "awssecretsmanager://" + strings.Replace(arn, ":aws:", ":aws-us-gov:", 1),

		"arn:aws-eusc:secretsmanager:eusc-de-east-1:123456789012:secret:x": "awssecretsmanager://arn:aws-eusc:secretsmanager:eusc-de-east-1:123456789012:secret:x",
		"awsssm://contoso":       "awsssm://contoso",
		"awsssm:///contoso":      "awsssm:///contoso",
		"awsssm://gmsa/contoso":  "awsssm:///gmsa/contoso",
		"awsssm:///gmsa/contoso": "awsssm:///gmsa/contoso",
		ssmARN:                   "awsssm://" + ssmARN,

		"gcpsecretmanager://projects/my-proj/secrets/gmsa":                                   "gcpsecretmanager://projects/my-proj/secrets/gmsa/versions/latest",
		"gcpsecretmanager://projects/123/secrets/gmsa/versions/7":                            "gcpsecretmanager://projects/123/secrets/gmsa/versions/7",
		"gcpsecretmanager://projects/my-proj/locations/europe-west1/secrets/gmsa/versions/7": "gcpsecretmanager://projects/my-proj/locations/europe-west1/secrets/gmsa/versions/7",
		"gcpsecretmanager://projects/my-proj/locations/europe-west1/secrets/gmsa":            "gcpsecretmanager://projects/my-proj/locations/europe-west1/secrets/gmsa/versions/latest",
	} {
		r, err := secrets.ParseRef(in)
		if err != nil {
			t.Errorf("ParseRef(%q): %v", in, err)
			continue
		}
		if got := r.String(); got != want {
			t.Errorf("ParseRef(%q) = %q, want %q", in, got, want)
		}
		if again, err := secrets.ParseRef(r.String()); err != nil || !again.Equal(r) {
			t.Errorf("ParseRef(%q) again = %v, %v", r.String(), again, err)
		}
	}
}

func TestParseRefReadsTheInputsOfOtherPlugins(t *testing.T) {
	azure := "azurekeyvault://kv.vault.azure.net/secrets/gmsa?object_id=" + objectID
	uri := "https://kv.vault.azure.net/secrets/gmsa"
	for in, want := range map[string]string{
		"ObjectId=" + objectID + ";SecretUri=" + uri:                                 azure,
		"SecretUri=" + uri + ";ObjectId=" + objectID + ";":                           azure,
		"OBJECTID=" + objectID + ";secreturi=" + uri + "/":                           azure,
		"x=y=z;ObjectId=" + objectID + ";SecretUri=" + uri + ";Other=":               azure,
		"ObjectId=" + objectID + ";SecretUri=" + uri + "/" + version:                 strings.Replace(azure, "gmsa?", "gmsa/"+version+"?", 1),
		"ObjectId=" + objectID + ";SecretUri=HTTPS://KV.vault.azure.cn/secrets/gmsa": strings.Replace(azure, ".net", ".cn", 1),

		"cattle-gmsa:contoso-user": "kubernetes://cattle-gmsa/contoso-user",
		"arn:contoso":              "kubernetes://arn/contoso",

		`{"credentialArn":"` + arn + `"}`: "awssecretsmanager://" + arn,
		` {"regKeyPath":"HKEY_LOCAL_MACHINE\\System\\x","CredentialArn" : "` + arn + `", "other":{"a":[1]}} `: "awssecretsmanager://" + arn,
		`{"credentialArn":"` + ssmARN + `"}`: "awsssm://" + ssmARN,
	} {
		r, err := secrets.ParseRef(in)
		if err != nil {
			t.Errorf("ParseRef(%q): %v", in, err)
		} else if got := r.String(); got != want {
			t.Errorf("ParseRef(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseRefRefusesWithoutQuoting(t *testing.T) {
	uri := "https://kv.vault.azure.net/secrets/gmsa"
	for in, cause := range map[string]string{
		"":                                       "empty",
		" \t":                                    "empty",
		"contoso":                                "neither",
		"gmsa1.AAAAAAAAAAAAAAAA":                 "neither",
		`contoso\svc:C4nary`:                     "RFC 1123",
		`contoso\svc:C4nary=`:                    "no ObjectId",
		"svc@contoso.com:C4nary:x":               "neither",
		"nosuch://C4nary":                        `unknown scheme "nosuch"`,
		"local:// ":                              "nothing after",
		"local://\xff":                           "UTF-8",
		"local://" + strings.Repeat("x", 5000):   "longer",
		"local://../C4nary":                      "a name is",
		"local://a/b":                            "a name is",
		`local://a\b`:                            "backslash",
		"local://.hidden":                        "a name is",
		"local://-flag":                          "a name is",
		"local://a.":                             "dot",
		"local://nul":                            "reserved",
		"local://COM1.x":                         "reserved",
		"local://a?x=C4nary":                     "no parameters",
		"local://a#C4nary":                       "fragment",
		"local://a%2e":                           "percent",
		"local://a\u200bb":                       "cannot be seen",
		"local://a\u00a0b":                       "cannot be seen",
		"local://" + strings.Repeat("x", 128):    "a name is",
		"azurekeyvault://kv/secrets/C4nary":      "full DNS name",
		"azurekeyvault://10.0.0.1/secrets/x":     "full DNS name",
		"azurekeyvault://[::1]:443/secrets/x":    "full DNS name",
		"azurekeyvault://u:C4nary@k.v/secrets/x": "port",
		"azurekeyvault://kv.v.net:0/secrets/x":   "port",
		"azurekeyvault://kv.v.net/keys/x":        "not HOST",
		"azurekeyvault://kv.v.net/secrets/":      "not HOST",
		"azurekeyvault://kv.v.net/secrets/a/b/c": "not HOST",
		"azurekeyvault://kv.v.net/secrets/a/b":   "version",
		"azurekeyvault://kv.v.net/secrets/C4_ry": "name",
		"azurekeyvault://kv.v.net/secrets/a?object_id=C4nary":                                 "not a GUID",
		"azurekeyvault://kv.v.net/secrets/a?workload=false":                                   "only be true",
		"azurekeyvault://kv.v.net/secrets/a?workload=true&client_id=" + objectID:              "more than one",
		"azurekeyvault://kv.v.net/secrets/a?object_id=" + objectID + "&object_id=" + objectID: "2 times",
		"azurekeyvault://kv.v.net/secrets/a?object_id=":                                       "no usable value",
		"azurekeyvault://kv.v.net/secrets/a?C4nary=1":                                         "unknown parameter",
		"azurekeyvault://kv.v.net/secrets/a?object_id=%zz":                                    "key=value",
		"kubernetes://C4nary/x":                                                               "namespace",
		"kubernetes://ns":                                                                     "name",
		"kubernetes://ns/a/b":                                                                 "name",
		"kubernetes://ns/" + strings.Repeat("a.", 127) + "a":                                  "253",
		"vault://kv":                    "MOUNT/PATH",
		"vault://kv/../sys":             "..",
		"vault://kv//x":                 "empty",
		"vault://kv/ x":                 "blank",
		"awssecretsmanager://C4 nary":   "name",
		"awssecretsmanager://" + ssmARN: "another service",
		"awssecretsmanager://" + arn + "?region=eu-west-1":   "names its region",
		"awssecretsmanager://x?region=Paris":                 "region",
		"awssecretsmanager://x?version_id=a&version_stage=b": "both",
		"awsssm://a//b":                                          "name",
		"awsssm://" + arn:                                        "another service",
		"arn:aws:s3:::bucket/key":                                "region",
		"arn:aws:s3:eu-west-1:1:bucket/key":                      "neither of",
		"arn:aws:secretsmanager:eu-west-1:1:x:y":                 "secret:NAME",
		"arn:aws:secretsmanager:eu-west-1:1:secret:a:C4nary::":   "secret:NAME",
		"arn:aws:ssm:eu-west-1:1:parameter/":                     "parameter/NAME",
		"arn:evil:secretsmanager:eu-west-1:1:secret:a":           "partition",
		"arn:aws-CN:secretsmanager:eu-west-1:1:secret:a":         "partition",
		"arn:aws:secretsmanager:eu-west-1:C4nary:secret:a":       "account",
		"arn:aws:secretsmanager":                                 "six parts",
		"gcpsecretmanager://projects/p":                          "not projects",
		"gcpsecretmanager://projects/my-proj/secrets/a/versions": "not projects",
		"gcpsecretmanager://projects/my-proj/secrets/a b":        "not projects",
		"gcpsecretmanager://projects/my-proj/topics/a":           "not projects",

		// What the other plugins' parsers would fill up, guess or swallow.
		"SecretUri=" + uri:           "no ObjectId",
		"ObjectId=" + objectID:       "no SecretUri",
		"ObjectId=;SecretUri=" + uri: "objectid is empty",
		"ObjectId=" + objectID + ";ObjectId=" + objectID + ";SecretUri=" + uri:              "twice",
		"foo;ObjectId=" + objectID + ";SecretUri=" + uri:                                    "part 1",
		";ObjectId=" + objectID + ";SecretUri=" + uri:                                       "part 1",
		"ObjectId=" + objectID + ";;SecretUri=" + uri:                                       "part 2",
		"ObjectId=" + objectID + ";SecretUri=" + uri + ";C4nary":                            "part 3",
		"x=1; ObjectId=" + objectID + ";SecretUri=" + uri:                                   "blanks around",
		"ObjectId=" + objectID + ";SecretUri=http://kv.vault.azure.net/secrets/a":           "https",
		"ObjectId=" + objectID + ";SecretUri=https://evilhost/.management.azure.com/x":      "full DNS name",
		"ObjectId=" + objectID + ";SecretUri=https://0x7f000001/.vault.azure.net/secrets/x": "full DNS name",
		"ObjectId=" + objectID + ";SecretUri=https://127.1/.vault.azure.net/secrets/x":      "full DNS name",
		"ObjectId=" + objectID + ";SecretUri=https://u@evil.example/secrets/x":              "user information",
		"ObjectId=" + objectID + ";SecretUri=" + uri + "?api-version=7.1":                   "query",
		"ObjectId=" + objectID + ";SecretUri=https://kv.vault.azure.net":                    "not HOST",
		"ObjectId=C4nary;SecretUri=" + uri:                                                  "not a GUID",
		":":                                                                                 "namespace",
		"ns:":                                                                               "name",
		"../../C4nary:x":                                                                    "slash",
		`{"credentialArn":""}`:                                                              "not a text",
		`{"credentialArn":7}`:                                                               "not a text",
		`{"credentialArn":null}`:                                                            "not a text",
		`{"credentialArn":"C4nary"}`:                                                        "six parts",
		`{"other":"C4nary"}`:                                                                "no credentialArn",
		`{}`:                                                                                "no credentialArn",
		`{"credentialArn":"` + arn + `"`:                                                    "JSON",
		`{"credentialArn":"` + arn + `"} x`:                                                 "JSON",
		`{"credentialArn":"` + arn + `","credentialarn":"` + arn + `"}`:                     "twice",
	} {
		_, err := secrets.ParseRef(in)
		if err == nil {
			t.Errorf("ParseRef(%q) succeeded", in)
			continue
		}
		if !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), cause) {
			t.Errorf("ParseRef(%q): %v, want %q", in, err, cause)
		}
		if strings.Contains(err.Error(), "C4") {
			t.Errorf("ParseRef(%q) quotes: %v", in, err)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{
		"local://contoso", "azurekeyvault://kv.vault.azure.net/secrets/a?workload=true", "kubernetes://ns/name",
		"vault://kv/My App?field=a%26b", arn, ssmARN, "awsssm://a/b?region=eu-west-1", "gcpsecretmanager://projects/my-proj/secrets/a",
		"ns:secret", `{"credentialArn":"` + arn + `"}`, "ObjectId=" + objectID + ";SecretUri=https://kv.vault.azure.net/secrets/gmsa",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := secrets.ParseRef(s)
		if err != nil {
			if !errors.Is(err, fault.ErrMalformed) {
				t.Errorf("not malformed: %v", err)
			}
			return
		}
		again, err := secrets.ParseRef(r.String())
		if err != nil || again.String() != r.String() {
			t.Errorf("%q reads back as %q, %v", r, again, err)
		}
		if strings.ContainsAny(r.String(), "\r\n\x00\x1b") {
			t.Errorf("%q has control characters", r)
		}
	})
}
