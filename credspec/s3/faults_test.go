package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/s3"
	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func source(t testing.TB, cfg awsclient.Config) *s3.Source {
	t.Helper()
	client, err := awsclient.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s3.New(client)
}

// answering is a source over a server that answers as told, and the number of
// requests that the server had.
func answering(t testing.TB, h http.HandlerFunc) (*s3.Source, *atomic.Int32) {
	t.Helper()
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		h(w, r)
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id=AKIATEST\naws_secret_access_key=canary-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return source(t, awsclient.Config{
		Credentials: "profile", ProfileFile: file, Region: "eu-west-1", PathStyle: true, Endpoints: map[string]string{"s3": server.URL},
	}), &n
}

var object = credspec.Ref{Scheme: s3.Scheme, Rest: "bucket/webapp01.json"}

// refusal is an answer as S3 has them.
func refusal(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>canary %s</Message><StringToSign>canary</StringToSign></Error>`, code, message)
	}
}

func TestRefusalsHaveTheirKindAndNothingOfTheAnswer(t *testing.T) {
	const kms = "is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/k"
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		kind   error
		text   string
	}{
		"no permission":         {refusal(403, "AccessDenied", "Access Denied"), fault.ErrDenied, "the agent may not read it (s3:GetObject)"},
		"no permission for KMS": {refusal(403, "AccessDenied", kms), fault.ErrDenied, "the agent needs kms:Decrypt"},
		"disabled KMS key":      {refusal(400, "KMS.DisabledException", "is disabled"), fault.ErrDenied, "400 KMS.DisabledException"},
		"expired":               {refusal(400, "ExpiredToken", "The provided token has expired."), fault.ErrDenied, "400 ExpiredToken"},
		"clock":                 {refusal(403, "RequestTimeTooSkewed", ""), fault.ErrUnavailable, "403 RequestTimeTooSkewed"},
		"archived":              {refusal(403, "InvalidObjectState", ""), fault.ErrUnavailable, "restored first"},
		"slow down":             {refusal(503, "SlowDown", ""), fault.ErrUnavailable, "503 SlowDown"},
		"internal error":        {refusal(500, "InternalError", ""), fault.ErrUnavailable, "500 InternalError"},
		"key too long":          {refusal(400, "KeyTooLongError", ""), fault.ErrMalformed, "400 KeyTooLongError"},
		"a proxy's page":        {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>canary", http.StatusBadGateway) }, fault.ErrUnavailable, "502"},
		"a redirect of somebody": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/canary", http.StatusTemporaryRedirect)
		}, fault.ErrUnavailable, "307"},
		"not modified unasked": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, fault.ErrUnavailable, "304"},
		"endless refusal": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(403)
			for range 9 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}, fault.ErrMalformed, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			s, n := answering(t, tt.answer)
			_, err := s.Resolve(t.Context(), object)
			if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v and %q", err, tt.kind, tt.text)
			}
			if err != nil && (!strings.Contains(err.Error(), "s3://bucket/webapp01.json") || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "AKIATEST")) {
				t.Errorf("error %v", err)
			}
			if n.Load() > 2 {
				t.Errorf("%d requests", n.Load())
			}
		})
	}
}

func TestABucketIsFoundInItsRegion(t *testing.T) {
	var regions []string
	s, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		scope := strings.Split(r.Header.Get("Authorization"), "/")
		regions = append(regions, scope[2])
		if scope[2] != "ap-south-1" {
			w.Header().Set("X-Amz-Bucket-Region", "ap-south-1")
			refusal(301, "PermanentRedirect", "")(w, r)
			return
		}
		fmt.Fprint(w, "{}")
	})
	doc, err := s.Resolve(t.Context(), object)
	if err != nil || doc.Origin != "s3://bucket/webapp01.json (ap-south-1)" {
		t.Errorf("%v, %v, asked in %q", doc, err, regions)
	}
}

func TestARegionOfSomebodyElsesIsNotFollowed(t *testing.T) {
	for _, region := range []string{"evil.example/", "a b", strings.Repeat("x", 100)} {
		s, n := answering(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amz-Bucket-Region", region)
			refusal(301, "PermanentRedirect", "")(w, r)
		})
		if _, err := s.Resolve(t.Context(), object); !errors.Is(err, fault.ErrMalformed) || n.Load() != 1 {
			t.Errorf("%s: error %v after %d requests", region, err, n.Load())
		}
	}
	t.Run("twice", func(t *testing.T) {
		var n int
		s, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
			n++
			w.Header().Set("X-Amz-Bucket-Region", fmt.Sprintf("eu-west-%d", n+1))
			refusal(301, "PermanentRedirect", "")(w, r)
		})
		_, err := s.Resolve(t.Context(), object)
		if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), `the bucket is in region "eu-west-3", asked was eu-west-2`) || n != 2 {
			t.Errorf("error %v after %d requests", err, n)
		}
	})
}

func TestNoPartOfAnObjectIsReturned(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		kind   error
	}{
		"the connection ends early": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"canary": 1}`)
		}, fault.ErrUnavailable},
		"a chunk is missing": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Transfer-Encoding", "chunked")
			fmt.Fprint(w, `{"canary": 1}`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, fault.ErrUnavailable},
		"the checksum is another's": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amz-Checksum-Crc32", "AAAAAA==")
			fmt.Fprint(w, `{"canary": 1}`)
		}, fault.ErrUnavailable},
		"too long, and it says so": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(credspec.MaxSize+1))
			w.WriteHeader(200)
		}, fault.ErrMalformed},
		"too long, and it does not say": {func(w http.ResponseWriter, _ *http.Request) {
			for range credspec.MaxSize>>10 + 1 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}, fault.ErrMalformed},
		"small, and grows when unpacked": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			fmt.Fprint(w, "not unpacked")
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := answering(t, tt.answer)
			doc, err := s.Resolve(t.Context(), object)
			switch {
			case tt.kind == nil && (err != nil || string(doc.Data) != "not unpacked"):
				t.Errorf("%q, %v", doc.Data, err)
			case tt.kind != nil && (!errors.Is(err, tt.kind) || doc.Data != nil || strings.Contains(err.Error(), "canary")):
				t.Errorf("%q, error %v, want %v", doc.Data, err, tt.kind)
			}
		})
	}
}

func TestASlowServerIsNotWaitedForLongerThanTheContext(t *testing.T) {
	asked := make(chan struct{}, 8)
	for name, h := range map[string]http.HandlerFunc{
		"before the answer": func(_ http.ResponseWriter, r *http.Request) {
			asked <- struct{}{}
			<-r.Context().Done()
		},
		"in the middle of it": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "{")
			w.(http.Flusher).Flush()
			asked <- struct{}{}
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := answering(t, h)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-asked; cancel() }()
			if doc, err := s.Resolve(ctx, object); !errors.Is(err, context.Canceled) || doc.Data != nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestADeadlineOfTheContextIsItsError(t *testing.T) {
	s, _ := answering(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(50*time.Millisecond))
	defer cancel()
	if _, err := s.Resolve(ctx, object); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestAServerOnALinkLocalAddressIsNotAsked(t *testing.T) {
	s := source(t, awsclient.Config{Region: "eu-west-1", Endpoints: map[string]string{"s3": "https://169.254.169.254", "imds": "http://" + closedPort(t)}})
	// No credentials are had either, which comes first.
	if _, err := s.Resolve(t.Context(), object); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "no credentials from instance") {
		t.Errorf("error %v", err)
	}
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id=A\naws_secret_access_key=b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = source(t, awsclient.Config{Credentials: "profile", ProfileFile: file, Region: "eu-west-1", Endpoints: map[string]string{"s3": "https://169.254.169.254"}})
	if _, err := s.Resolve(t.Context(), object); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "link-local") {
		t.Errorf("error %v", err)
	}
}

// closedPort is an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
