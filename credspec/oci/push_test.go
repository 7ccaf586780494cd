package oci

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestAnUploadIsSentNowhereElse(t *testing.T) {
	other := newFake(t, document)
	other.fault = func(http.ResponseWriter, *http.Request) bool {
		t.Error("the other server was asked")
		return false
	}
	location := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusAccepted)
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"by a redirect": redirect(other.URL + "/v2/x/blobs/uploads/1"),
		"by its place":  location(other.URL + "/v2/x/blobs/uploads/1"),
		"out of TLS":    location(strings.Replace(other.URL, "https:", "http:", 1)),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, document)
			f.fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					answer(w, r)
				}
				return r.Method == http.MethodPost
			}
			_, err := f.source(Registry{}).Push(t.Context(), f.ref(":2"), []byte("{}"))
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("error %v", err)
			}
			for _, request := range f.asked() {
				if strings.HasPrefix(request, http.MethodPut) {
					t.Errorf("the push goes on: %s", request)
				}
			}
		})
	}
}

func TestARegistryThatTakesNoPushSaysWhy(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		code   string
		want   error
		text   string
	}{
		"a repository that must be made first": {404, "NAME_UNKNOWN", fault.ErrNotFound, "has no repository specs/webapp01"},
		"a tag that may not be changed":        {412, "PRECONDITION", fault.ErrDenied, "does not let specs/webapp01:2 be changed"},
		"a name that it does not take":         {400, "NAME_INVALID", fault.ErrMalformed, "does not take specs/webapp01:2"},
		"may read only":                        {403, "DENIED", fault.ErrDenied, "refuses specs/webapp01"},
		"is full":                              {507, "", fault.ErrUnavailable, "507"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, document)
			f.fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					refuse(w, tt.status, tt.code)
				}
				return r.Method == http.MethodPost
			}
			_, err := f.source(Registry{}).Push(t.Context(), f.ref(":2"), []byte("{}"))
			wantError(t, err, tt.want, tt.text, f.host())
		})
	}
}
