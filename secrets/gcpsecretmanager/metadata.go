package gcpsecretmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/compute/metadata"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// metadataServer has the same address everywhere in Google Cloud:
// https://cloud.google.com/compute/docs/metadata/querying-metadata
const metadataServer = "169.254.169.254"

const thisHost = "this host's service account"

// instance asks the metadata server for a token of the service account that the
// host runs as; on GKE, of the pod's.
func (s *Store) instance(ctx context.Context) (token, error) {
	f := &fence{
		name: "the metadata server", via: s.metadata, pauses: s.pauses, judge: judgeMetadata,
		place: func(r *http.Request) bool {
			// The SDK asks whoever GCE_METADATA_HOST names.
			r.URL.Scheme, r.URL.Host, r.Host = "http", metadataServer, metadataServer
			return strings.HasPrefix(r.URL.Path, "/computeMetadata/v1/instance/service-accounts/")
		},
	}
	client := metadata.NewWithOptions(&metadata.Options{Client: &http.Client{Transport: f}, Logger: discard})
	text, err := client.GetWithContext(ctx, "instance/service-accounts/default/token?scopes="+url.QueryEscape(scope))
	if err != nil {
		return token{}, none(ctx, thisHost, err, "the metadata server cannot be asked")
	}
	var got struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Seconds int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		got.Token = ""
	}
	return newToken(&auth.Token{Value: got.Token, Type: got.Type, Expiry: time.Now().Add(time.Duration(got.Seconds) * time.Second)}, thisHost)
}

func judgeMetadata(status int, h http.Header, _ []byte) error {
	switch {
	case h.Get("Metadata-Flavor") != "Google":
		return fmt.Errorf("what answers at %s is not Google's metadata server: %w", metadataServer, fault.ErrUnavailable)
	case status == http.StatusOK:
		return nil
	case status == http.StatusNotFound:
		return fmt.Errorf("it has none (the metadata server answers 404): %w", fault.ErrDenied)
	case status == http.StatusForbidden:
		return fmt.Errorf("the metadata server gives this host none (403): %w", fault.ErrDenied)
	}
	return unavailable("the metadata server", status, "")
}
