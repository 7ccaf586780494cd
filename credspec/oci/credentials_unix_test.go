//go:build !windows

package oci

import (
	"os"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

func TestCredentialsThatOthersCanReadAreRefused(t *testing.T) {
	f := newFake(t, document)
	f.fault = basic(f)
	registry := robot(t)
	authFile := writeFile(t, "config.json", `{"auths":{"`+f.host()+`":{"auth":"cm9ib3Q6aHVudGVyMg=="}}}`)
	withAuthFile := newSource(t, Config{AuthFile: authFile, Registries: map[string]Registry{f.host(): {CAFile: caFile(t, f.Server)}}})
	for file, s := range map[string]*Source{registry.PasswordFile: f.source(registry), authFile: withAuthFile} {
		if _, err := s.Resolve(t.Context(), f.ref(":1")); err != nil {
			t.Errorf("%s is its owner's: %v", file, err)
		}
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := s.Resolve(t.Context(), f.ref(":1"))
		wantError(t, err, fault.ErrDenied, file, "others must not read it", f.host())
	}
}
