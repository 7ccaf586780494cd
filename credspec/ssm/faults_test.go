package ssm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/ssm"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// answering is a source over a server that answers as told, and the number of
// requests that the server had.
func answering(t *testing.T, h http.HandlerFunc) (*ssm.Source, *atomic.Int32) {
	t.Helper()
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}))
	t.Cleanup(server.Close)
	return source(t, config(t, server.URL)), &n
}

var webapp01 = credspec.Ref{Scheme: ssm.Scheme, Rest: "webapp01"}

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

// moto refuses nobody, so what AWS says to those it refuses comes from here.
func TestRefusalsHaveTheirKindAndNothingOfTheAnswer(t *testing.T) {
	const ciphertext = "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		text   string
	}{
		"missing":              {refusal(400, "ParameterNotFound", ""), fault.ErrNotFound, "400 ParameterNotFound"},
		"missing version":      {refusal(400, "ParameterVersionNotFound", ""), fault.ErrNotFound, "400 ParameterVersionNotFound"},
		"no permission":        {refusal(400, "AccessDeniedException", "is not authorized to perform: ssm:GetParameter"), fault.ErrDenied, "may not read it (ssm:GetParameter)"},
		"no permission to key": {refusal(400, "AccessDeniedException", ciphertext), fault.ErrDenied, "the agent needs kms:Decrypt"},
		"key is disabled":      {refusal(400, "InvalidKeyId", ""), fault.ErrDenied, "the agent needs kms:Decrypt"},
		"unknown key id":       {refusal(400, "UnrecognizedClientException", ""), fault.ErrDenied, "400 UnrecognizedClientException"},
		"wrong secret":         {refusal(400, "InvalidSignatureException", ""), fault.ErrDenied, "400 InvalidSignatureException"},
		"expired":              {refusal(400, "ExpiredTokenException", ""), fault.ErrDenied, "400 ExpiredTokenException"},
		"throttled":            {refusal(400, "ThrottlingException", ""), fault.ErrUnavailable, "400 ThrottlingException"},
		"internal error":       {refusal(500, "InternalServerError", ""), fault.ErrUnavailable, "500 InternalServerError"},
		"not a name":           {refusal(400, "ValidationException", ""), fault.ErrMalformed, "400 ValidationException"},
		"a proxy's page":       {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>canary", http.StatusBadGateway) }, fault.ErrUnavailable, "502"},
		"no JSON":              {text("canary"), fault.ErrUnavailable, ""},
		"nothing":              {text("{}"), fault.ErrUnavailable, "has no value"},
		"cut off":              {text(`{"Parameter": {"Type": "String", "Value": "canary`), fault.ErrUnavailable, ""},
		"no value":             {text(`{"Parameter": {"Type": "String"}}`), fault.ErrUnavailable, "has no value"},
		"a list":               {text(`{"Parameter": {"Type": "StringList", "Value": "canary"}}`), fault.ErrMalformed, "StringList"},
		"too long":             {text(`{"Parameter": {"Type": "String", "Value": "` + strings.Repeat("canary ", credspec.MaxSize/7+1) + `"}}`), fault.ErrMalformed, "longer than"},
		"far too long":         {text(`{"Parameter": {"Type": "String", "Value": "` + strings.Repeat("canary ", 9*credspec.MaxSize/7) + `"}}`), fault.ErrMalformed, "longer than"},
		"ends early": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"Parameter": {"Type": "String", "Value": "canary"}}`)
		}, fault.ErrUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, n := answering(t, tt.answer)
			doc, err := s.Resolve(t.Context(), webapp01)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) || doc.Data != nil {
				t.Errorf("error %v, want %v and %q", err, tt.kind, tt.text)
			}
			if err != nil && (!strings.Contains(err.Error(), "parameter webapp01: ") || strings.Contains(err.Error(), "canary")) {
				t.Errorf("error %v", err)
			}
			if n.Load() > 2 {
				t.Errorf("%d requests", n.Load())
			}
		})
	}
}

func TestAnARNIsAskedForAsItIsInItsRegion(t *testing.T) {
	const arn = "arn:aws:ssm:ap-south-1:210987654321:parameter/shared"
	var asked, scope string
	s, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 1<<10)
		n, _ := r.Body.Read(body)
		asked, scope = string(body[:n]), r.Header.Get("Authorization")
		fmt.Fprint(w, `{"Parameter": {"Name": "shared", "Type": "SecureString", "Value": "{}", "Version": 2, "LastModifiedDate": 1700000000.5}}`)
	})
	doc, err := s.Resolve(t.Context(), credspec.Ref{Scheme: ssm.Scheme, Rest: arn})
	if err != nil || doc.Tag != "2@1700000000500" || doc.Origin != "parameter "+arn+" version 2 (ap-south-1)" {
		t.Errorf("%v, tag %q, error %v", doc, doc.Tag, err)
	}
	if !strings.Contains(asked, `"Name":"`+arn+`"`) || !strings.Contains(asked, `"WithDecryption":true`) || !strings.Contains(scope, "/ap-south-1/ssm/") {
		t.Errorf("asked %s with %s", asked, scope)
	}
}

func TestASlowServerIsNotWaitedForLongerThanTheContext(t *testing.T) {
	asked := make(chan struct{}, 8)
	s, _ := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		// Only a server that has read the request notices that its client left.
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := s.Resolve(ctx, webapp01); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestAServerThatIsGoneIsUnavailable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := source(t, config(t, server.URL)).Resolve(t.Context(), webapp01)
	if !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestACertificateThatNobodyTrustsIsAnUnavailableServer(t *testing.T) {
	server := httptest.NewUnstartedServer(text(`{"Parameter": {"Type": "String", "Value": "{}"}}`))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of the client's refusal
	server.StartTLS()
	t.Cleanup(server.Close)
	_, err := source(t, config(t, server.URL)).Resolve(t.Context(), webapp01)
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
}
