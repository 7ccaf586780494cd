package hcs

import (
	"encoding/json"
	"testing"

	"github.com/Microsoft/hcsshim"
	"github.com/google/go-cmp/cmp"
)

// hcsshim's own type says what the first schema's document is.
func TestV1IsHCSShimsContainerConfig(t *testing.T) {
	config := hcsshim.ContainerConfig{SystemType: "Container", Name: "web01", Credentials: spec, HostName: "web01", TerminateOnLastHandleClosed: true}
	doc, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, extract := range []func([]byte) (Opaque, bool, error){ExtractV1, Extract} {
		if got, ok, err := extract(doc); err != nil || !ok || got.Reveal() != spec {
			t.Errorf("%q, %v, %v", got.Reveal(), ok, err)
		}
	}
	doc, err = InjectV1(doc, NewOpaque("another"))
	if err != nil {
		t.Fatal(err)
	}
	var got hcsshim.ContainerConfig
	if err := json.Unmarshal(doc, &got); err != nil {
		t.Fatal(err)
	}
	config.Credentials = "another"
	if diff := cmp.Diff(config, got); diff != "" {
		t.Error(diff)
	}
}
