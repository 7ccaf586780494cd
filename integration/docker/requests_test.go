package docker

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

const toCreate = "/v1.41/containers/create"

// body is what the API wants of a container that asks in other ways than a command
// line can.
func (h *host) body(hostConfig, labels map[string]any, more string) string {
	h.Helper()
	config := map[string]any{"NetworkMode": "none"}
	for k, v := range hostConfig {
		config[k] = v
	}
	text, err := json.Marshal(map[string]any{"Image": h.image(), "HostConfig": config, "Labels": labels})
	h.must(err)
	return string(text[:len(text)-1]) + more + "}"
}

func option(value string) map[string]any {
	return map[string]any{"SecurityOpt": []string{"credentialspec=" + value}}
}

func TestWhatAsksIsFoundHoweverTheRequestIsWritten(t *testing.T) {
	each(t, nil, func(h *host) {
		refused := h.body(option("file://../x"), nil, "")
		for name, test := range map[string]struct {
			uri, body string
			chunked   bool
		}{
			"plain":             {toCreate, refused, false},
			"without a version": {"/containers/create", refused, false},
			"chunked":           {toCreate, refused, true},
			"an escaped path":   {"/v1.41/%63ontainers/%63reate?name=x", refused, false},
			"an escaped slash":  {"/v1.41/containers%2Fcreate", refused, false},
			"an absolute URI":   {"http://docker" + toCreate, refused, false},
			"keys in any case":  {toCreate, strings.NewReplacer("HostConfig", "hostconfig", "SecurityOpt", "SECURITYOPT").Replace(refused), false},
			"escaped keys":      {toCreate, strings.NewReplacer("HostConfig", `\u0048ostConfig`, "SecurityOpt", `Security\u004fpt`).Replace(refused), false},
			"the option's name": {toCreate, strings.Replace(refused, "credentialspec", "CredentialSpec", 1), false},
			"unknown fields":    {toCreate, h.body(option("file://../x"), nil, `,"Future":{"SecurityOpt":[1,{}]},"A":null`), false},
			"a member twice":    {toCreate, h.body(option("file://../x"), nil, `,"HostConfig":{"Memory":0}`), false},
		} {
			before := len(h.refusals())
			status, says := h.send(test.uri, test.body, test.chunked)
			if status != 403 || !strings.Contains(says, "authorization denied by plugin gmsa-agent: --security-opt credentialspec=file://../x: it leads out of Docker's CredentialSpecs folder") {
				h.Errorf("%s: %d %s", name, status, says)
			}
			if n := len(h.refusals()); n != before+1 {
				h.Errorf("%s: %d refusals are on record, want 1", name, n-before)
			}
		}
		// Docker finds its own words for these, and nothing asks.
		for name, body := range map[string]string{
			"half":     `{"Image":`,
			"a list":   `[]`,
			"a text":   `"x"`,
			"no image": `{}`,
			"nothing":  ``,
			"depth":    strings.Repeat(`{"HostConfig":`, 20000) + strings.Repeat("}", 20000),
		} {
			if status, says := h.send(toCreate, body, false); status < 400 || strings.Contains(says, "gmsa-agent") {
				h.Errorf("%s: %d %s", name, status, says)
			}
		}
		h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...) // and all is well
	})
}

// The longest request that dockerd shows to a plugin has 1 MiB or 4 MiB. Of one
// that is longer, dockerd of some releases shows nothing and goes on.
func TestAContainerWhoseRequestIsTooLongIsLookedAtWhenItIsStarted(t *testing.T) {
	each(t, nil, func(h *host) {
		long := func(label string, n int) string {
			return h.body(nil, map[string]any{"gmsa-agent/credential-spec": label, "long": strings.Repeat("x", n)}, "")
		}
		for _, n := range []int{900 << 10, 1100 << 10, 3 << 20} {
			status, id := h.send(toCreate, long("file://webapp01.json", n), n%2 == 0)
			if status != 201 {
				h.Fatalf("%d bytes: %d %s", n, status, id)
			}
			h.Docker("start", id)
			h.mustRedeem(h.token("webapp01.json", spec))
			h.Docker("rm", "--force", id)

			status, id = h.send(toCreate, long("file://unknown.json", n), false)
			switch {
			case status == 403 && strings.Contains(id, "none of the credential specs"): // it was shown
			case status == 201:
				if line := h.refused("start", id); !strings.Contains(line, "authorization denied by plugin gmsa-agent: the label gmsa-agent/credential-spec names file://unknown.json") {
					h.Errorf("%d bytes: the user reads %s", n, line)
				}
				h.tells(id, audit.AdmitRefused)
			default:
				h.Errorf("%d bytes: %d %s", n, status, id)
			}
		}
		if status, says := h.send(toCreate, long("file://unknown.json", 5<<20), false); status != 201 && !strings.Contains(says, "too large") {
			h.Errorf("%d %s", status, says)
		}
	})
}

func TestAStartIsFoundHoweverItsContainerIsNamed(t *testing.T) {
	each(t, nil, func(h *host) {
		// It is refused at its start and not before: its secret goes away between.
		id := h.Docker(args("create", "--name", "web", h.asks("webapp01.json"), h.run())...)
		h.agent.Kill()
		for name, uri := range map[string]string{
			"its name":          "/v1.41/containers/web/start",
			"its ID":            "/v1.41/containers/" + id + "/start",
			"a beginning":       "/v1.41/containers/" + id[:4] + "/start",
			"an escaped name":   "/v1.41/containers/%77eb/start",
			"an escaped verb":   "/v1.41/containers/web/%73tart",
			"an escaped slash":  "/v1.41/containers/web%2fstart",
			"without a version": "/containers/web/start",
			"a restart":         "/v1.41/containers/web/restart?t=0",
			"an absolute URI":   "http://docker/v1.41/containers/web/start",
		} {
			status, says := h.send(uri, "", false)
			if status != 403 && status != 404 || status == 403 && !strings.Contains(says, "the container asks for a gMSA, and the agent cannot be asked") {
				h.Errorf("%s: %d %s", name, status, says)
			}
			if out := h.Docker("ps", "--quiet"); out != "" {
				h.Fatalf("%s: it runs", name)
			}
		}
	})
}

func TestTwoFilesOfOneNameAreARefusedConfiguration(t *testing.T) {
	each(t, nil, func(h *host) {
		h.configure(map[string]any{"docker": map[string]any{"specs": map[string]any{"WebApp01": map[string]any{"reference": "file://fabrikam.json"}}}})
		out, err := h.command("config", "validate").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "Windows tells no case apart") {
			h.Errorf("%v: %s", err, out)
		}
		// The agent goes on with what it had.
		h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		h.mustRedeem(h.token("webapp01.json", spec))
	})
}

func TestComposeStartsWhatMayAndSaysWhyNot(t *testing.T) {
	each(t, nil, func(h *host) {
		project := func(service string) (string, error) {
			h.Helper()
			folder := h.TempDir()
			h.write(folder+"/docker-compose.yml", fmt.Sprintf("version: '3.8'\nservices:\n  web:\n    image: %s\n    network_mode: none\n%s", h.image(), service))
			h.Cleanup(func() {
				if out, err := h.compose(h.Context(), folder, "down", "--timeout", "0"); err != nil && h.Context().Err() == nil {
					h.Errorf("down: %v: %s", err, out)
				}
			})
			return h.compose(h.Context(), folder, "up", "--detach")
		}
		if out, err := project(h.composed("webapp01.json")); err != nil {
			h.Errorf("up: %v: %s", err, out)
		}
		h.mustRedeem(h.token("webapp01.json", spec))
		for service, says := range map[string]string{
			"    labels:\n      gmsa-agent/credential-spec: file://unknown.json\n": "authorization denied by plugin gmsa-agent: the label gmsa-agent/credential-spec names file://unknown.json, which is none of the credential specs that the agent keeps for Docker",
			// Not by credential_spec, which Debian's compose 1.29 stumbles over itself.
			"    security_opt: ['credentialspec=file://../webapp01.json']\n": "authorization denied by plugin gmsa-agent: --security-opt credentialspec=file://../webapp01.json: it leads out of Docker's CredentialSpecs folder",
			"    security_opt: ['credentialspec=config://x']\n":              "authorization denied by plugin gmsa-agent: --security-opt credentialspec=config://… is of Docker Swarm's services",
		} {
			if out, err := project(service); err == nil || !strings.Contains(out, says) {
				h.Errorf("%s: %v, compose prints\n%s\nand not\n%s", service, err, out, says)
			}
		}
	})
}
