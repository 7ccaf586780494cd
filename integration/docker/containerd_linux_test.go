package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/integration/containerdlab"
	"github.com/gmsa-agent/gmsa-agent/integration/dockerlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Docker on containerd starts containers through a shim, and so through the shim
// wrapper. On Linux the wrapper is asked by an annotation, since Docker writes no
// credential spec into the bundle there, and Docker's API has annotations; the gate
// has no part in it.
func TestDockerOnContainerdStartsContainersThroughTheShimWrapper(t *testing.T) {
	if err := dockerlab.Current.Ready(); err != nil { // Debian's knows no annotations
		t.Skip(err)
	}
	t.Parallel()
	shims := t.TempDir()
	if err := os.Link(program("containerd-shim-gmsa"), filepath.Join(shims, containerdlab.Shim)); err != nil {
		t.Fatal(err)
	}
	m := startLab(t, dockerlab.Options{Flavour: dockerlab.Current, Shims: shims})
	h := newHost(t, m, map[string]any{"containerd": []any{map[string]any{
		"address": m.Containerd(), "state_dir": m.ContainerdState(), "namespaces": []string{"moby"}, "inject": "never",
	}}})
	h.write(filepath.Join(shims, "containerd-shim-gmsa.conf"), fmt.Sprintf("endpoint = %s\nshim = /usr/bin/%s\n", h.channel("control"), containerdlab.Shim))

	start := func(ref string) (id string, status int, says string) {
		t.Helper()
		annotations := map[string]string{}
		if ref != "" {
			annotations[hook.KeyCredentialSpec] = ref
		}
		status, id = h.send("/v1.43/containers/create", h.body(map[string]any{"Annotations": annotations}, nil, ""), false)
		if status != 201 {
			t.Fatalf("%d %s", status, id)
		}
		status, says = h.send("/v1.43/containers/"+id+"/start", "", false)
		return id, status, says
	}
	asked := func(id string) bundle.Asked {
		t.Helper()
		config, err := os.ReadFile(filepath.Join(m.ContainerdState(), "io.containerd.runtime.v2.task", "moby", id, bundle.FileName))
		h.must(err)
		found, err := bundle.Read(config)
		h.must(err)
		return found
	}

	a, status, says := start("file://webapp01.json")
	b, _, _ := start("file://webapp01.json")
	if status != 204 {
		t.Fatalf("%d %s", status, says)
	}
	var tokens []string
	for _, id := range []string{a, b} {
		parsed, err := credspec.Parse([]byte(asked(id).CredentialSpec))
		if err != nil || parsed.ActiveDirectoryConfig.HostAccountConfig == nil {
			t.Fatalf("%s has no grant in its bundle: %v", id, err)
		}
		tokens = append(tokens, parsed.ActiveDirectoryConfig.HostAccountConfig.PluginInput)
	}
	if tokens[0] == tokens[1] {
		t.Error("two containers have the same token")
	}
	h.mustRedeem(tokens[0])

	plain, status, says := start("")
	if status != 204 || asked(plain).CredentialSpec != "" {
		t.Errorf("a container that does not ask: %d %s", status, says)
	}
	id, status, says := start("file://missing.json")
	if status < 400 || !strings.Contains(says, "gmsa-agent: moby/"+id+" was not started") || !strings.Contains(says, "missing.json") {
		t.Errorf("%d, the user reads %s", status, says)
	}

	h.Docker("rm", "--force", a)
	h.gone(tokens[0])
	h.mustRedeem(tokens[1])
}

// gone waits until a token redeems nothing.
func (h *host) gone(token string) {
	h.Helper()
	lab.Eventually(h.T, "the token's end", func(context.Context) error {
		if _, err := h.redeem(token); err == nil {
			return errors.New("it redeems")
		}
		return nil
	})
}
