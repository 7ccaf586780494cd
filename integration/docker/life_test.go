package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// restarted waits until Docker has started a container again n times by itself,
// and it is over.
func (h *host) restarted(id string, n int) {
	h.Helper()
	lab.Eventually(h.T, "the container's restarts", func(ctx context.Context) error {
		out, err := h.docker(ctx, "inspect", "--format", "{{.RestartCount}} {{.State.Status}}", id)
		if want := fmt.Sprintf("%d exited", n); err == nil && out != want {
			err = fmt.Errorf("%s, want %s", out, want)
		}
		return err
	})
}

// running waits until a container runs.
func (h *host) running(id string) {
	h.Helper()
	lab.Eventually(h.T, "the container's running", func(ctx context.Context) error {
		out, err := h.docker(ctx, "inspect", "--format", "{{.State.Status}}", id)
		if err == nil && out != "running" {
			err = errors.New(out)
		}
		return err
	})
}

func TestTheTrailTellsAContainersLife(t *testing.T) {
	each(t, nil, func(h *host) {
		token := h.token("webapp01.json", spec)
		id := h.Docker(args("create", "--restart", "on-failure:2", h.asks("webapp01.json"), h.fails())...)
		h.tells(id, audit.ContainerCreated)
		h.mustNotRedeem(token)
		h.Docker("start", id)
		h.restarted(id, 2)
		life := []audit.Event{audit.ContainerCreated, audit.AdmitGranted, audit.ContainerRestarted, audit.ContainerRestarted}
		story := h.tells(id, life...)
		for _, r := range story[2:] {
			if r.Grant != story[1].Grant || !strings.Contains(r.Reason, "restart policy") {
				h.Errorf("a restart goes on with %+v", r)
			}
		}
		h.Docker("rm", id)
		story = h.tells(id, append(life, audit.GrantRevoked)...)
		if r := story[4]; r.Grant != story[1].Grant {
			h.Errorf("the end is that of %+v", r)
		}
		h.mustNotRedeem(token)
	})
}

func TestAGrantEndsWithAContainerThatDockerDoesNotStartAgain(t *testing.T) {
	each(t, nil, func(h *host) {
		token := h.token("webapp01.json", spec)
		id := h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		h.mustRedeem(token)
		h.Docker("stop", "--time", "0", id)
		life := []audit.Event{audit.ContainerCreated, audit.AdmitGranted, audit.GrantRevoked}
		h.tells(id, life...)
		h.mustNotRedeem(token)
		h.Docker("start", id)
		h.tells(id, append(life, audit.AdmitGranted)...)
		h.mustRedeem(h.token("webapp01.json", spec))
	})
}

func TestARestartByAPersonIsAdmittedAndKeepsTheGrant(t *testing.T) {
	each(t, nil, func(h *host) {
		id := h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		for range 3 {
			h.Docker("restart", "--time", "0", id)
			h.mustRedeem(h.token("webapp01.json", spec))
		}
		// One that is admitted already is not admitted again, and is not ended.
		h.tells(id, audit.ContainerCreated, audit.AdmitGranted)
	})
}

func TestContainersGoOnWhileDockerIsRestarted(t *testing.T) {
	each(t, nil, func(h *host) {
		token := h.token("webapp01.json", spec)
		stays := h.Docker(args("run", "--detach", "--restart", "always", h.asks("webapp01.json"), h.run())...)
		ends := h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		h.must(h.restart(h.Context()))
		h.watched()
		h.running(stays)
		h.tells(stays, audit.ContainerCreated, audit.AdmitGranted, audit.ContainerRestarted)
		h.tells(ends, audit.ContainerCreated, audit.AdmitGranted, audit.GrantRevoked)
		h.mustRedeem(token)
		h.Docker("rm", "--force", stays)
		h.tells(stays, audit.ContainerCreated, audit.AdmitGranted, audit.ContainerRestarted, audit.GrantRevoked)
		h.mustNotRedeem(token)
	})
}

func TestContainersGoOnWhileTheAgentIsKilled(t *testing.T) {
	each(t, nil, func(h *host) {
		token := h.token("webapp01.json", spec)
		stays := h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		goes := h.Docker(args("run", "--detach", h.asks("webapp01.json"), h.run())...)
		again := h.Docker(args("run", "--detach", "--restart", "always", h.asks("webapp01.json"), h.mortal())...)
		h.agent.Kill()
		h.Docker("rm", "--force", goes) // seen by nobody
		h.must(h.kill(again))           // Docker starts it again
		lab.Eventually(h.T, "the restart", func(ctx context.Context) error {
			out, err := h.docker(ctx, "inspect", "--format", "{{.RestartCount}} {{.State.Status}}", again)
			if err == nil && out != "1 running" {
				err = errors.New(out)
			}
			return err
		})
		h.startAgent()
		h.mustRedeem(token)
		h.watched()
		h.tells(stays, audit.ContainerCreated, audit.AdmitGranted)
		h.tells(goes, audit.ContainerCreated, audit.AdmitGranted, audit.GrantRevoked)
		h.tells(again, audit.ContainerCreated, audit.AdmitGranted)
		h.mustRedeem(token)
		if h.token("webapp01.json", spec) != token {
			h.Error("the file was written to without need")
		}
		h.Docker("rm", "--force", stays, again)
		lab.Eventually(h.T, "the grants' end", func(context.Context) error {
			if _, err := h.redeem(token); err == nil {
				return errors.New("the token redeems")
			}
			return nil
		})
	})
}

// kill ends a container's process from within, for Docker to see that it failed:
// what docker kill ends, it does not start again.
func (h *host) kill(id string) error {
	_, err := h.docker(h.Context(), args("exec", id, h.suicide())...)
	if e := (*dockerError)(nil); errors.As(err, &e) {
		err = nil // it went with the process that it killed
	}
	return err
}
