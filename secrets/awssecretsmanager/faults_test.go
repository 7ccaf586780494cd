package awssecretsmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/awssecretsmanager"
)

// answering is a store over a server that answers as told, and the number of
// requests that the server had.
func answering(t *testing.T, h http.HandlerFunc) (*awssecretsmanager.Store, *atomic.Int32) {
	t.Helper()
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}))
	t.Cleanup(server.Close)
	return open(t, config(t, server.URL)), &n
}

const contoso = "awssecretsmanager://gmsa/contoso"

// refusal is an answer as the service has them.
func refusal(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type": %q, "message": "canary %s"}`, code, message)
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }
}

// object is a JSON object.
type object = map[string]any

// answer is the service's of the secret that the tests ask for, but for some
// fields; nil is none.
func answer(other object) http.HandlerFunc {
	fields := object{
		"ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gmsa/contoso-AbCdEf", "Name": "gmsa/contoso",
		"VersionId": "b7e9e1d2-3c1f-4a6c-9d55-000000000001", "VersionStages": []string{"AWSCURRENT"}, "CreatedDate": 1700000000.5,
		"SecretString": `contoso.com\svc:canary`,
	}
	for k, v := range other {
		if fields[k] = v; v == nil {
			delete(fields, k)
		}
	}
	body, err := json.Marshal(fields)
	if err != nil {
		panic(err) // of these there is none
	}
	return text(string(body))
}

// moto refuses nobody, so what AWS says to those it refuses comes from here.
func TestRefusalsHaveTheirKindAndNothingOfTheAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		text   string
	}{
		"missing":               {refusal(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."), fault.ErrNotFound, "region eu-west-1: 400 ResourceNotFoundException"},
		"without such a stage":  {refusal(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT"), fault.ErrNotFound, "it has no such version: 400 ResourceNotFoundException"},
		"without such an id":    {refusal(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: x"), fault.ErrNotFound, "it has no such version"},
		"marked for deletion":   {refusal(400, "InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."), fault.ErrNotFound, "it is marked for deletion: 400 InvalidRequestException"},
		"in another state":      {refusal(400, "InvalidRequestException", ""), fault.ErrMalformed, "400 InvalidRequestException"},
		"not a name":            {refusal(400, "InvalidParameterException", ""), fault.ErrMalformed, "400 InvalidParameterException"},
		"no permission":         {refusal(400, "AccessDeniedException", "User: … is not authorized to perform: secretsmanager:GetSecretValue"), fault.ErrDenied, "may not read it (secretsmanager:GetSecretValue): 400"},
		"no permission to key":  {refusal(400, "AccessDeniedException", "Access to KMS is not allowed"), fault.ErrDenied, "the agent needs kms:Decrypt"},
		"no permission by name": {refusal(400, "AccessDeniedException", "is not authorized to perform: kms:Decrypt"), fault.ErrDenied, "the agent needs kms:Decrypt"},
		"key is gone":           {refusal(400, "DecryptionFailure", ""), fault.ErrDenied, "the agent needs kms:Decrypt): 400 DecryptionFailure"},
		"key is disabled":       {refusal(400, "KMSDisabledException", ""), fault.ErrDenied, "the agent needs kms:Decrypt"},
		"key is throttled":      {refusal(400, "KMSThrottlingException", ""), fault.ErrUnavailable, "eu-west-1: 400 KMSThrottlingException"},
		"unknown key id":        {refusal(400, "UnrecognizedClientException", ""), fault.ErrDenied, "400 UnrecognizedClientException"},
		"expired credentials":   {refusal(400, "ExpiredTokenException", ""), fault.ErrDenied, "400 ExpiredTokenException"},
		"wrong secret key":      {refusal(400, "InvalidSignatureException", ""), fault.ErrDenied, "400 InvalidSignatureException (the secret key is wrong, or this host's clock)"},
		"throttled":             {refusal(400, "ThrottlingException", ""), fault.ErrUnavailable, "400 ThrottlingException"},
		"too many requests":     {refusal(429, "TooManyRequestsException", ""), fault.ErrUnavailable, "429 TooManyRequestsException"},
		"internal error":        {refusal(500, "InternalServiceError", ""), fault.ErrUnavailable, "500 InternalServiceError"},
		"a proxy's page":        {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>canary", http.StatusBadGateway) }, fault.ErrUnavailable, "502"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/canary", http.StatusTemporaryRedirect)
		}, fault.ErrUnavailable, "307"},
		"no JSON":           {text("canary"), fault.ErrUnavailable, "not in the service's form"},
		"another form":      {text(`{"SecretString": ["canary"]}`), fault.ErrUnavailable, "not in the service's form"},
		"no base64":         {answer(object{"SecretString": nil, "SecretBinary": "canary!"}), fault.ErrUnavailable, "not in the service's form"},
		"nothing":           {text("{}"), fault.ErrUnavailable, "is of another secret"},
		"cut off":           {text(`{"Name": "gmsa/contoso", "SecretString": "contoso.com\\svc:canary`), fault.ErrUnavailable, ""},
		"far too long":      {text(`{"SecretString": "` + strings.Repeat("canary ", 9<<20/7) + `"}`), fault.ErrMalformed, "longer than"},
		"too long":          {answer(object{"SecretString": `contoso.com\svc:` + strings.Repeat("canary", secrets.MaxContent/6)}), fault.ErrMalformed, "longer than"},
		"another secret":    {answer(object{"Name": "canary"}), fault.ErrUnavailable, "is of another secret"},
		"another stage":     {answer(object{"VersionStages": []string{"AWSPENDING"}}), fault.ErrUnavailable, "is of another version"},
		"without a version": {answer(object{"VersionId": nil}), fault.ErrUnavailable, "is of another version"},
		"without a value":   {answer(object{"SecretString": nil}), fault.ErrUnavailable, "has no value"},
		"two values":        {answer(object{"SecretBinary": "Y2FuYXJ5"}), fault.ErrUnavailable, "has two values"},
		"an empty text":     {answer(object{"SecretString": ""}), fault.ErrMalformed, "empty"},
		"an empty binary":   {answer(object{"SecretString": nil, "SecretBinary": ""}), fault.ErrMalformed, "empty"},
		"no credential":     {answer(object{"SecretString": "canary"}), fault.ErrMalformed, "neither"},
		"no domain":         {answer(object{"SecretString": `{"username": "canary", "password": "canary", "host": "canary"}`}), fault.ErrMalformed, "without domainName"},
		"UTF-16":            {answer(object{"SecretString": nil, "SecretBinary": "//5jAGEAbgBhAHIAeQA="}), fault.ErrMalformed, "UTF-16"},
		"ends early": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			answer(nil)(w, r)
		}, fault.ErrUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, n := answering(t, tt.answer)
			c, err := s.Fetch(t.Context(), ref(t, contoso))
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || c != nil {
				t.Errorf("error %v, want %v and %q", err, tt.kind, tt.text)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), "fetch "+contoso+": region eu-west-1: ") || strings.Contains(err.Error(), "canary")) {
				t.Errorf("error %v", err)
			}
			if n.Load() > 2 {
				t.Errorf("%d requests", n.Load())
			}
		})
	}
}

func TestAThrottledRequestIsMadeOnceMore(t *testing.T) {
	var first atomic.Bool
	s, n := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			refusal(400, "ThrottlingException", "Rate exceeded")(w, r)
			return
		}
		answer(nil)(w, r)
	})
	c, err := s.Fetch(t.Context(), ref(t, contoso))
	if err != nil || string(c.Password.Bytes()) != "canary" || n.Load() != 2 {
		t.Errorf("%v, %v, after %d requests", c, err, n.Load())
	}
}

// Servers that stand in for AWS throttle with HTTP's own words, too, and for as
// long as they like.
func TestNobodyWaitsForAsLongAsAServerWants(t *testing.T) {
	asked := make(chan struct{}, 2)
	s, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.Header().Set("X-Amz-Retry-After", "3600000")
		refusal(503, "ServiceUnavailable", "")(w, r)
		asked <- struct{}{}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := s.Fetch(ctx, ref(t, contoso))
	if !errors.Is(err, fault.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// question is a request for a secret, and where it was signed for.
type question struct{ SecretId, VersionId, VersionStage, scope string }

// asking answers nobody, and keeps what was asked.
func asking(t *testing.T, got *question) *awssecretsmanager.Store {
	s, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(got); err != nil {
			t.Error(err)
		}
		_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=AKIATEST/")
		_, got.scope, _ = strings.Cut(scope[:strings.IndexByte(scope, ',')], "/")
		refusal(400, "ResourceNotFoundException", "")(w, r)
	})
	return s
}

func TestAReferenceIsAskedForInItsRegionAndVersion(t *testing.T) {
	const arn = "arn:aws:secretsmanager:ap-south-1:210987654321:secret:shared-AbCdEf"
	for text, want := range map[string]question{
		"awssecretsmanager://a/b@c":                         {"a/b@c", "", "AWSCURRENT", "eu-west-1/secretsmanager/aws4_request"},
		"awssecretsmanager://x?region=us-east-1":            {"x", "", "AWSCURRENT", "us-east-1/secretsmanager/aws4_request"},
		"awssecretsmanager://x?version_stage=AWSPREVIOUS":   {"x", "", "AWSPREVIOUS", "eu-west-1/secretsmanager/aws4_request"},
		"awssecretsmanager://x?version_id=v1":               {"x", "v1", "", "eu-west-1/secretsmanager/aws4_request"},
		"awssecretsmanager://" + arn + "?version_stage=tst": {arn, "", "tst", "ap-south-1/secretsmanager/aws4_request"},
		`{"credentialArn": "` + arn + `"}`:                  {arn, "", "AWSCURRENT", "ap-south-1/secretsmanager/aws4_request"},
		strings.Replace(arn, ":aws:secretsmanager:ap-south-1", ":aws-cn:secretsmanager:cn-north-1", 1): {
			strings.Replace(arn, ":aws:secretsmanager:ap-south-1", ":aws-cn:secretsmanager:cn-north-1", 1), "", "AWSCURRENT", "cn-north-1/secretsmanager/aws4_request"},
	} {
		var got question
		if _, err := asking(t, &got).Fetch(t.Context(), ref(t, text)); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%s: error %v", text, err)
		}
		if got != want {
			t.Errorf("%s: asked for %+v, want %+v", text, got, want)
		}
	}
}

func TestAnARNOfAnotherPartitionThanItsRegionIsNotAskedFor(t *testing.T) {
	s, n := answering(t, answer(nil))
	_, err := s.Fetch(t.Context(), ref(t, "arn:aws-cn:secretsmanager:eu-west-1:123456789012:secret:x"))
	if !errors.Is(err, fault.ErrMalformed) || n.Load() != 0 {
		t.Errorf("error %v, %d requests", err, n.Load())
	}
}

func TestAnAnswerToAnARNIsOfThatARN(t *testing.T) {
	const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:gmsa/contoso"
	for answered, ok := range map[string]bool{
		arn + "-AbCdEf": true, arn: true, arn + "-AbCdE": false, arn + "-two-AbCdEf": false, arn + "/AbCdEf": false,
		strings.Replace(arn, "123456789012", "210987654321", 1) + "-AbCdEf": false, "": false,
	} {
		s, _ := answering(t, answer(object{"ARN": answered}))
		if _, err := s.Fetch(t.Context(), ref(t, arn)); (err == nil) != ok {
			t.Errorf("%q: error %v", answered, err)
		}
	}
}

func TestAVersionIsTheOneThatWasAskedFor(t *testing.T) {
	s, _ := answering(t, answer(nil))
	_, err := s.Fetch(t.Context(), ref(t, contoso+"?version_id=b7e9e1d2-3c1f-4a6c-9d55-000000000002"))
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "another version") {
		t.Errorf("error %v", err)
	}
}

func TestTheClocksAreNamedWhenTheyDiffer(t *testing.T) {
	for name, tt := range map[string]struct {
		code string
		at   time.Time
		text string
	}{
		"ahead":   {"InvalidSignatureException", time.Now().Add(-2 * time.Hour), "this host's clock is 2h0m"},
		"behind":  {"RequestTimeTooSkewed", time.Now().Add(2 * time.Hour), "behind the server's"},
		"unknown": {"RequestTimeTooSkewed", time.Time{}, "this host's clock may be wrong"},
	} {
		s, n := answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil
			if !tt.at.IsZero() {
				w.Header().Set("Date", tt.at.UTC().Format(http.TimeFormat))
			}
			refusal(400, tt.code, "Signature expired: 20200101T000000Z is now earlier than …")(w, r)
		})
		_, err := s.Fetch(t.Context(), ref(t, contoso))
		if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), tt.text) || n.Load() > 2 {
			t.Errorf("%s: error %v after %d requests", name, err, n.Load())
		}
	}
}

func TestAHostWhoseClockIsWrongIsServedAllTheSame(t *testing.T) {
	const off = 3 * time.Hour
	s, n := answering(t, func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(off)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Error(err)
		}
		if now.Sub(signed).Abs() > 5*time.Minute {
			refusal(400, "InvalidSignatureException", "Signature expired")(w, r)
			return
		}
		answer(nil)(w, r)
	})
	if _, err := s.Fetch(t.Context(), ref(t, contoso)); err != nil || n.Load() != 2 {
		t.Errorf("error %v after %d requests", err, n.Load())
	}
}

func TestASlowServerIsNotWaitedForLongerThanTheContext(t *testing.T) {
	for name, begin := range map[string]string{"silent": "", "half an answer": `{"SecretString": "canary`} {
		asked := make(chan struct{}, 8)
		s, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
			// Only a server that has read the request notices that its client left.
			_, _ = io.Copy(io.Discard, r.Body)
			if begin != "" {
				fmt.Fprint(w, begin)
				w.(http.Flusher).Flush()
			}
			asked <- struct{}{}
			<-r.Context().Done()
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		_, err := s.Fetch(ctx, ref(t, contoso))
		if !errors.Is(err, context.Canceled) || !errors.Is(err, fault.ErrUnavailable) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestAServerThatIsGoneIsUnavailable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	if _, err := open(t, config(t, server.URL)).Fetch(t.Context(), ref(t, contoso)); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestACertificateThatNobodyTrustsIsAnUnavailableServer(t *testing.T) {
	server := httptest.NewUnstartedServer(answer(nil))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client's refusal
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := open(t, config(t, server.URL)).Fetch(t.Context(), ref(t, contoso))
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
}

func TestTwoReadsWithARotationInBetweenHaveTwoVersions(t *testing.T) {
	var reads atomic.Int32
	s, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		if reads.Add(1) == 1 {
			answer(nil)(w, r)
			return
		}
		answer(object{"VersionId": "b7e9e1d2-3c1f-4a6c-9d55-000000000002", "SecretString": `contoso.com\svc:rotated`})(w, r)
	})
	first, err := s.Fetch(t.Context(), ref(t, contoso))
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Fetch(t.Context(), ref(t, contoso))
	if err != nil || second.Version == first.Version || string(second.Password.Bytes()) != "rotated" || string(first.Password.Bytes()) != "canary" {
		t.Errorf("%s after %s, %v", second.Version, first.Version, err)
	}
}

func TestManyCallersOfAFailingServerAllHearOfIt(t *testing.T) {
	s, _ := answering(t, refusal(400, "ThrottlingException", ""))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, err := s.Fetch(t.Context(), secrets.Ref{Scheme: awssecretsmanager.Scheme, Rest: "gmsa/contoso"})
			if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "400 ThrottlingException") {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
}
