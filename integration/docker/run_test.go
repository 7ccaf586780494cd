package docker

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// denied is how Docker's command line tells a refusal of the gate's.
const denied = "docker: Error response from daemon: authorization denied by plugin gmsa-agent: "

func TestAContainerThatMayRunsAndItsTokenRedeems(t *testing.T) {
	each(t, nil, func(h *host) {
		token := h.token("webapp01.json", spec)
		h.mustNotRedeem(token) // nobody has been admitted
		id := h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		if h.token("webapp01.json", spec) != token {
			h.Error("the file was written to without need")
		}
		h.mustRedeem(token)
		story := h.tells(id, audit.ContainerCreated, audit.AdmitGranted)
		if r := story[1]; r.Place != "docker file://webapp01.json" || r.Reference != "file://webapp01.json" || r.Account != "webapp01" || r.Domain != "contoso.com" || r.Secret != "local://contoso" {
			h.Errorf("the trail says %+v", r)
		}
		h.Docker("rm", "--force", id)
		h.tells(id, audit.ContainerCreated, audit.AdmitGranted, audit.GrantRevoked)
		h.mustNotRedeem(token)
	})
}

func TestARefusalIsWhatTheUserReads(t *testing.T) {
	each(t, nil, func(h *host) {
		option := func(values ...string) (options []string) {
			for _, v := range values {
				options = append(options, "--security-opt", "credentialspec="+v)
			}
			return options
		}
		label := func(v string) []string { return []string{"--label", "gmsa-agent/credential-spec=" + v} }
		for name, test := range map[string]struct {
			options []string
			says    string
		}{
			"an unknown name":      {label("file://unknown.json"), "the label gmsa-agent/credential-spec names file://unknown.json, which is none of the credential specs that the agent keeps for Docker (docker.specs in its configuration): not found."},
			"no secret":            {label("file://fabrikam.json"), "credential spec file://fabrikam.json: no secret serves the domain fabrikam.com: not found, and the host is no member of a domain."},
			"a path that climbs":   {option("file://../../etc/passwd"), "--security-opt credentialspec=file://../../etc/passwd: it leads out of Docker's CredentialSpecs folder: denied."},
			"a sibling folder":     {option(`file://..\CredentialSpecs2\webapp01.json`), `--security-opt credentialspec=file://..\CredentialSpecs2\webapp01.json: it leads out of Docker's CredentialSpecs folder: denied.`},
			"an absolute path":     {option(`file://C:\webapp01.json`), `--security-opt credentialspec=file://C:\webapp01.json: a path in Docker's CredentialSpecs folder is wanted, not an absolute one: denied.`},
			"an alternate stream":  {option("file://webapp01.json:stream"), "--security-opt credentialspec=file://webapp01.json:stream: it has a character that no file's name has: denied."},
			"two of them":          {option("file://webapp01.json", "file://fabrikam.json"), "--security-opt credentialspec is given 2 times, and Docker would take the last: malformed."},
			"the same twice":       {option("file://webapp01.json", "file://webapp01.json"), "--security-opt credentialspec is given 2 times, and Docker would take the last: malformed."},
			"no scheme":            {option("webapp01.json"), "--security-opt credentialspec is neither file://NAME.json nor registry://NAME: malformed."},
			"nothing":              {option(""), "--security-opt credentialspec is neither file://NAME.json nor registry://NAME: malformed."},
			"a stranger's scheme":  {option("s3://specs/webapp01.json"), `--security-opt credentialspec: Docker reads file://, registry:// and raw://, and not "s3": malformed.`},
			"Swarm's scheme":       {option("config://x"), "--security-opt credentialspec=config://… is of Docker Swarm's services, whose documents dockerd alone can read: denied."},
			"label against option": {append(label("file://webapp01.json"), option("file://fabrikam.json")...), "the label gmsa-agent/credential-spec names file://webapp01.json, and --security-opt credentialspec another credential spec; for the label's it is file://webapp01.json: denied."},
			"another secret":       {append(label("file://webapp01.json"), "--label", "gmsa-agent/secret=local://other"), "credential spec file://webapp01.json: the container names the secret local://other, and containers share the document with its secret: leave out gmsa-agent/secret: denied."},
		} {
			before := len(h.refusals())
			line := h.refused(args("run", "--detach", "--name", "refused", test.options, h.run())...)
			if line != denied+test.says {
				h.Errorf("%s: the user reads\n%s\nand not\n%s", name, line, denied+test.says)
			}
			if n := len(h.refusals()); n != before+1 {
				h.Errorf("%s: %d refusals are on record, want 1", name, n-before)
			}
			if out := h.Docker("ps", "--all", "--quiet", "--filter", "name=refused"); out != "" {
				h.Errorf("%s: there is a container %s", name, out)
			}
		}
		// In words that Docker understands, with a scheme and a name in any case.
		for _, v := range []string{"file://webapp01.json", "FILE://WEBAPP01.JSON", "file://./webapp01.json"} {
			before := len(h.refusals())
			h.optionPasses(v)
			if n := len(h.refusals()); n != before {
				h.Errorf("%s: refused", v)
			}
		}
	})
}

func TestWithoutTheAgentOthersRunAndContainersThatAskAreRefused(t *testing.T) {
	each(t, nil, func(h *host) {
		plain := func(state string) {
			h.Helper()
			id := h.Docker(args("run", "--detach", h.machine.run())...)
			h.Docker("restart", "--time", "0", id)
			h.Docker("rm", "--force", id)
			if story := h.story(id); len(story) > 0 {
				h.Errorf("%s: the trail tells of a container that does not ask: %+v", state, story)
			}
		}
		plain("up")
		waiting := h.Docker(args("create", h.asks("webapp01.json"), h.run())...)
		h.agent.Kill()
		plain("killed")
		for _, line := range []string{
			h.refused(args("run", "--detach", h.asks("webapp01.json"), h.run())...),
			"docker: " + h.refused("start", waiting),
		} {
			if want := denied + "the container asks for a gMSA, and the agent cannot be asked: "; !strings.HasPrefix(line, want) || !strings.Contains(line, "containers without a gMSA are not concerned") {
				h.Errorf("the user reads\n%s\nand not\n%s…", line, want)
			}
		}
		h.startAgent()
		h.watched()
		h.Docker("start", waiting)
		h.mustRedeem(h.token("webapp01.json", spec))

		h.must(h.agent.Pause())
		plain("hung")
		line := h.refused(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		if want := denied + "the container asks for a gMSA, and the agent has not answered"; !strings.HasPrefix(line, want) {
			h.Errorf("the user reads\n%s\nand not\n%s…", line, want)
		}
		h.must(h.agent.Resume())
		h.Docker("restart", "--time", "0", waiting)
	})
}

// Docker asks the gate about everything, and refuses everything while it is away;
// it looks for it for half a minute.
func TestDockerWaitsForAGateThatIsStartedAgain(t *testing.T) {
	each(t, nil, func(h *host) {
		h.gate_.Kill()
		done := make(chan error, 1)
		go func() {
			_, err := h.docker(h.Context(), args("run", "--detach", h.asks("webapp01.json"), h.machine.run())...)
			done <- err
		}()
		h.startGate()
		h.must(<-done)
		h.mustRedeem(h.token("webapp01.json", spec))
	})
}

func TestTwoContainersShareATokenUntilTheLastEnds(t *testing.T) {
	each(t, nil, func(h *host) {
		token := h.token("webapp01.json", spec)
		a := h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		b := h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		h.Docker("rm", "--force", a)
		h.tells(a, audit.ContainerCreated, audit.AdmitGranted, audit.GrantRevoked)
		h.mustRedeem(token)
		h.Docker("rm", "--force", b)
		h.tells(b, audit.ContainerCreated, audit.AdmitGranted, audit.GrantRevoked)
		h.mustNotRedeem(token)
		if now := h.token("webapp01.json", spec); now != token {
			c := h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
			h.tells(c, audit.ContainerCreated, audit.AdmitGranted)
			h.mustNotRedeem(token) // it was another document's
		}
	})
}

func TestADozenContainersAtOnceAreAllAdmitted(t *testing.T) {
	each(t, nil, func(h *host) {
		const n = 12
		errs := make(chan error, n)
		for range n {
			go func() {
				_, err := h.docker(h.Context(), args("run", "--detach", h.asks("webapp01.json"), h.machine.run())...)
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				h.Error(err)
			}
		}
		lab.Eventually(h.T, "the place's containers", func(ctx context.Context) error {
			p, err := h.place(ctx, "webapp01.json")
			if err == nil && p.Containers != n {
				err = fmt.Errorf("%d containers use it, want %d", p.Containers, n)
			}
			return err
		})
	})
}
