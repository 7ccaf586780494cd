package awsssm_test

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
	"github.com/gmsa-agent/gmsa-agent/secrets/awsssm"
)

// answering is a store over a server that answers as told, and the number of
// requests that the server had.
func answering(t *testing.T, h http.HandlerFunc) (*awsssm.Store, *atomic.Int32) {
	t.Helper()
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}))
	t.Cleanup(server.Close)
	return open(t, config(t, server.URL)), &n
}

const contoso = "awsssm:///gmsa/contoso"

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

// answer is the service's of the parameter that the tests ask for, but for some
// fields; nil is none.
func answer(other object) http.HandlerFunc {
	fields := object{
		"ARN": "arn:aws:ssm:eu-west-1:123456789012:parameter/gmsa/contoso", "Name": "/gmsa/contoso", "Type": "SecureString",
		"Version": 3, "LastModifiedDate": 1700000000.5, "DataType": "text", "Value": `contoso.com\svc:canary`,
	}
	for k, v := range other {
		if fields[k] = v; v == nil {
			delete(fields, k)
		}
	}
	body, err := json.Marshal(object{"Parameter": fields})
	if err != nil {
		panic(err) // of these there is none
	}
	return text(string(body))
}

// moto refuses nobody, so what AWS says to those it refuses comes from here.
func TestRefusalsHaveTheirKindAndNothingOfTheAnswer(t *testing.T) {
	const ciphertext = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		text   string
	}{
		"missing":              {refusal(400, "ParameterNotFound", ""), fault.ErrNotFound, "400 ParameterNotFound"},
		"no permission":        {refusal(400, "AccessDeniedException", "is not authorized to perform: ssm:GetParameter"), fault.ErrDenied, "may not read it (ssm:GetParameter): 400"},
		"no permission to key": {refusal(400, "AccessDeniedException", ciphertext), fault.ErrDenied, "the agent needs kms:Decrypt): 400"},
		"key is disabled":      {refusal(400, "InvalidKeyId", ""), fault.ErrDenied, "the agent needs kms:Decrypt"},
		"unknown key id":       {refusal(400, "UnrecognizedClientException", ""), fault.ErrDenied, "400 UnrecognizedClientException"},
		"expired credentials":  {refusal(400, "ExpiredTokenException", ""), fault.ErrDenied, "400 ExpiredTokenException"},
		"wrong secret key":     {refusal(400, "InvalidSignatureException", ""), fault.ErrDenied, "or this host's clock"},
		"throttled":            {refusal(400, "ThrottlingException", ""), fault.ErrUnavailable, "400 ThrottlingException"},
		"internal error":       {refusal(500, "InternalServerError", ""), fault.ErrUnavailable, "500 InternalServerError"},
		"not a name":           {refusal(400, "ValidationException", ""), fault.ErrMalformed, "400 ValidationException"},
		"a proxy's page":       {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>canary", http.StatusBadGateway) }, fault.ErrUnavailable, "502"},
		"no JSON":              {text("canary"), fault.ErrUnavailable, "not in the service's form"},
		"nothing":              {text("{}"), fault.ErrUnavailable, "has no value"},
		"cut off":              {text(`{"Parameter": {"Type": "SecureString", "Value": "contoso.com\\svc:canary`), fault.ErrUnavailable, ""},
		"without a value":      {answer(object{"Value": nil}), fault.ErrUnavailable, "has no value"},
		"another parameter":    {answer(object{"Name": "/canary"}), fault.ErrUnavailable, "is of another parameter"},
		"without a type":       {answer(object{"Type": nil}), fault.ErrUnavailable, "no known type"},
		"an unknown type":      {answer(object{"Type": "canary"}), fault.ErrUnavailable, "no known type"},
		"a plain text":         {answer(object{"Type": "String"}), fault.ErrMalformed, "it is a String, which is not encrypted; a secret is a SecureString"},
		"a list":               {answer(object{"Type": "StringList"}), fault.ErrMalformed, "it is a StringList, which is not encrypted"},
		"an empty text":        {answer(object{"Value": ""}), fault.ErrMalformed, "empty"},
		"still encrypted":      {answer(object{"Value": "AQICAHhcanary=="}), fault.ErrMalformed, "neither"},
		"no domain":            {answer(object{"Value": `{"username": "canary", "password": "canary"}`}), fault.ErrMalformed, "without domainName"},
		"too long":             {answer(object{"Value": `contoso.com\svc:` + strings.Repeat("canary", secrets.MaxContent/6)}), fault.ErrMalformed, "longer than"},
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

// question is a request for a parameter, and where it was signed for.
type question struct {
	Name           string
	WithDecryption bool
	scope          string
}

func TestAReferenceIsAskedForInItsRegion(t *testing.T) {
	const arn = "arn:aws:ssm:ap-south-1:210987654321:parameter/shared"
	government := strings.Replace(arn, ":aws:ssm:ap-south-1", ":aws-us-gov:ssm:us-gov-west-1", 1)
	for text, want := range map[string]question{
		"awsssm://x":                      {"x", true, "eu-west-1/ssm/aws4_request"},
		"awsssm:///x?region=us-east-1":    {"/x", true, "us-east-1/ssm/aws4_request"},
		"awsssm://a/b":                    {"/a/b", true, "eu-west-1/ssm/aws4_request"},
		arn:                               {arn, true, "ap-south-1/ssm/aws4_request"},
		government:                        {government, true, "us-gov-west-1/ssm/aws4_request"},
		`{"credentialArn":"` + arn + `"}`: {arn, true, "ap-south-1/ssm/aws4_request"},
	} {
		var got question
		s, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
			if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
				t.Error(err)
			}
			_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=AKIATEST/")
			_, got.scope, _ = strings.Cut(scope[:strings.IndexByte(scope, ',')], "/")
			refusal(400, "ParameterNotFound", "")(w, r)
		})
		if _, err := s.Fetch(t.Context(), ref(t, text)); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%s: error %v", text, err)
		}
		if got != want {
			t.Errorf("%s: asked for %+v, want %+v", text, got, want)
		}
	}
}

func TestAnAnswerToAnARNIsOfThatARN(t *testing.T) {
	const arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/gmsa/contoso"
	for answered, ok := range map[string]bool{arn: true, arn + "2": false, "": false} {
		s, _ := answering(t, answer(object{"Name": answered, "ARN": answered})) // as for one that is shared
		if _, err := s.Fetch(t.Context(), ref(t, arn)); (err == nil) != ok {
			t.Errorf("%q: error %v", answered, err)
		}
	}
}

func TestAnARNOfAnotherPartitionThanItsRegionIsNotAskedFor(t *testing.T) {
	s, n := answering(t, answer(nil))
	_, err := s.Fetch(t.Context(), ref(t, "arn:aws-cn:ssm:eu-west-1:123456789012:parameter/x"))
	if !errors.Is(err, fault.ErrMalformed) || n.Load() != 0 {
		t.Errorf("error %v, %d requests", err, n.Load())
	}
}

func TestAVersionHasItsTime(t *testing.T) {
	for name, tt := range map[string]struct {
		fields object
		want   string
	}{
		"its own":                {nil, "3@2023-11-14T22:13:20.5Z"},
		"without a time":         {object{"LastModifiedDate": nil}, ""},
		"Secrets Manager behind": {object{"Version": 0}, ""},
	} {
		s, _ := answering(t, answer(tt.fields))
		c, err := s.Fetch(t.Context(), ref(t, contoso))
		if err != nil || c.Version != tt.want {
			t.Errorf("%s: %v, %v", name, c, err)
		}
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

func TestHowLongToWaitIsToldToTheCache(t *testing.T) {
	for name, c := range map[string]struct {
		header, value string
		want          time.Duration
	}{
		"AWS's":     {"X-Amz-Retry-After", "1100", 1100 * time.Millisecond},
		"a proxy's": {"Retry-After", "17", 17 * time.Second},
	} {
		s, n := answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(c.header, c.value)
			refusal(400, "ThrottlingException", "Rate exceeded")(w, r)
		})
		_, err := s.Fetch(t.Context(), ref(t, contoso))
		if e, ok := errors.AsType[secrets.Throttle](err); !ok || e.RetryAfter() != c.want || n.Load() != 2 {
			t.Errorf("%s: %v, after %d requests", name, err, n.Load())
		}
	}
}

func TestASlowServerIsNotWaitedForLongerThanTheContext(t *testing.T) {
	for name, begin := range map[string]string{"silent": "", "half an answer": `{"Parameter": {"Value": "canary`} {
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

func TestManyCallersOfAFailingServerAllHearOfIt(t *testing.T) {
	s, _ := answering(t, refusal(400, "ThrottlingException", ""))
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, err := s.Fetch(t.Context(), secrets.Ref{Scheme: awsssm.Scheme, Rest: "contoso"})
			if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "400 ThrottlingException") {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
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
