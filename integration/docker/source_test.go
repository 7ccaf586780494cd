package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/httpslab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// remote starts an https server with web.json and returns how the configuration
// says where it is. Its source is asked four times in a second.
func remote(t *testing.T) (*httpslab.Lab, map[string]any) {
	t.Helper()
	l, err := httpslab.Start(httpslab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	l.Put("web.json", revision(0))
	return l, map[string]any{
		"credential_specs": map[string]any{"https": map[string]any{
			"ca_file": l.CAFile, "hosts": map[string]any{strings.TrimPrefix(l.URL, "https://"): map[string]any{"token_file": l.TokenFile}},
		}},
		"docker": map[string]any{
			"refresh": map[string]any{"https": "250ms"},
			"specs":   map[string]any{"web": map[string]any{"reference": l.URL + "/private/web.json"}},
		},
	}
}

// revision is a credential spec of some length, which differs from every other.
func revision(n int) []byte {
	return []byte(strings.Replace(spec, `"Extension": {`, fmt.Sprintf(`"Extension": {"revision": %d, "filler": %q, `, n, strings.Repeat("x", 1+n*1009%65536)), 1))
}

// stands says how long it took until a revision stood in Docker's folder.
func (h *host) stands(file string, n int) time.Duration {
	h.Helper()
	start := time.Now()
	lab.Eventually(h.T, "the new credential spec in Docker's folder", func(ctx context.Context) error {
		if s, err := h.place(ctx, file); err != nil || s.Error != "" || time.Since(start) > 10*time.Second {
			h.Fatalf("no change within 10 s: %+v, %v", s, err)
		}
		data, err := os.ReadFile(h.specs(file))
		if err == nil && !strings.Contains(string(data), fmt.Sprintf(`"revision": %d,`, n)) {
			err = errors.New("it is an earlier one")
		}
		return err
	})
	return time.Since(start)
}

func TestARemoteSpecIsInTheFolderWithinASecondOfItsChange(t *testing.T) {
	each(t, nil, func(h *host) {
		source, settings := remote(h.T)
		h.agent.Kill()
		h.configure(settings)
		h.startAgent()
		h.watched()
		h.kept("web.json")
		h.reader.tight.Store(true)
		ask := []string{"--label", "gmsa-agent/credential-spec=" + source.URL + "/private/web.json"}
		id := h.Docker(args("run", "--detach", ask, h.run())...)
		first := h.token("web.json", string(revision(0)))
		h.mustRedeem(first)
		var slowest time.Duration
		const changes = 20
		for n := 1; n <= changes; n++ {
			source.Put("web.json", revision(n))
			slowest = max(slowest, h.stands("web.json", n))
			h.mustRedeem(h.token("web.json", string(revision(n))))
		}
		h.Logf("the slowest of %d changes took %v", changes, slowest.Round(time.Millisecond))
		if slowest > time.Second {
			h.Errorf("a change took %v", slowest)
		}
		h.mustRedeem(first) // the container runs with what it has read

		// Its start reads what is the source's then, however seldom that is asked.
		h.configure(map[string]any{"docker": map[string]any{"refresh": map[string]any{"https": "1h"}}})
		lab.Eventually(h.T, "the configuration's being applied", func(ctx context.Context) error {
			for r, err := range audit.Read(h.path("state", "audit.jsonl")) {
				if err == nil && r.Event == audit.ConfigApplied {
					return nil
				}
			}
			return errors.New("it is not")
		})
		for n := changes + 1; n < changes+4; n++ {
			source.Put("web.json", revision(n))
			h.Docker("restart", "--time", "0", id)
			h.mustRedeem(h.token("web.json", string(revision(n))))
		}
		h.mustNotRedeem(first) // it has read a later one
		h.Docker("rm", "--force", id)
		lab.Eventually(h.T, "the end of the last token", func(context.Context) error {
			if _, err := h.redeem(h.token("web.json", string(revision(changes+3)))); err == nil {
				return errors.New("it redeems")
			}
			return nil
		})
	})
}

func TestWhatIsConfiguredIsInTheFolderAndWhatIsNotIsGone(t *testing.T) {
	each(t, nil, func(h *host) {
		h.write(h.path("specs", "broken.json"), "{")
		h.write(h.specs("administrators.json"), another)
		h.configure(map[string]any{"docker": map[string]any{"specs": map[string]any{
			"second":         map[string]any{"reference": "file://webapp01.json"},
			"third":          map[string]any{"reference": "file://webapp01.json"},
			"administrators": map[string]any{"reference": "file://webapp01.json"},
			"broken":         map[string]any{"reference": "file://broken.json"},
		}}})
		h.kept("second.json")
		h.kept("third.json")
		for file, says := range map[string]string{
			"administrators.json": "is not the agent's",
			"broken.json":         "broken.json",
		} {
			lab.Eventually(h.T, "what the status says of "+file, func(ctx context.Context) error {
				p, err := h.place(ctx, file)
				if err == nil && (p.Kept || !strings.Contains(p.Error, says)) {
					err = fmt.Errorf("%+v", p)
				}
				return err
			})
			line := h.refused(args("run", "--detach", h.asks(file), h.run())...)
			if !strings.HasPrefix(line, denied) || !strings.Contains(line, says) {
				h.Errorf("%s: the user reads %s", file, line)
			}
		}
		if string(h.document("administrators.json")) != another {
			h.Error("a file that is not the agent's was written to")
		}
		// Somebody changes what the agent wrote: it is not the agent's any more.
		h.write(h.specs("second.new"), another)
		h.must(os.Rename(h.specs("second.new"), h.specs("second.json")))
		line := h.refused(args("run", "--detach", h.asks("second.json"), h.run())...)
		if !strings.Contains(line, "somebody else put it there or changed it") {
			h.Errorf("the user reads %s", line)
		}
		// Somebody removes one: it is there again, at the latest when it is read.
		h.must(os.Remove(h.specs("third.json")))
		h.Docker(args("run", "--detach", h.asks("third.json"), h.run())...)
		h.mustRedeem(h.token("third.json", spec))

		h.configure(map[string]any{"docker": map[string]any{"specs": map[string]any{"administrators": nil, "second": nil, "third": nil}}})
		lab.Eventually(h.T, "the removal of what is no longer configured", func(context.Context) error {
			if _, err := os.Stat(h.specs("third.json")); !errors.Is(err, os.ErrNotExist) {
				return errors.Join(errors.New("it is there"), err)
			}
			return nil
		})
		for _, file := range []string{"administrators.json", "second.json"} {
			if string(h.document(file)) != another {
				h.Errorf("%s, which is not the agent's, was written to", file)
			}
		}
		if _, err := os.Stat(h.specs("webapp01.json")); err != nil {
			h.Error(err)
		}
	})
}
