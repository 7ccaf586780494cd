package docker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/dockerlab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// creations are how many containers BenchmarkCreate has each dockerd create.
const creations = 500

// BenchmarkCreate is what the gate adds to the creation of a container without a
// gMSA: 500 requests to a dockerd that asks it and to one that asks nobody, by
// turns, and the difference of the medians.
func BenchmarkCreate(b *testing.B) {
	for _, flavour := range dockerlab.Flavours {
		b.Run(string(flavour), func(b *testing.B) {
			if err := flavour.Ready(); err != nil {
				b.Skip(err)
			}
			without := startLab(b, dockerlab.Options{Flavour: flavour})
			with := startLab(b, dockerlab.Options{Flavour: flavour})
			config := with.Path("agent.yaml")
			must(b, os.WriteFile(config, fmt.Appendf(nil, "channels: {control: {endpoint: %s}}\ndocker: {endpoint: %q, gate: {endpoint: %s}}\n", with.channel("control"), with.endpoint(), with.gate()), 0o600))
			gate, err := with.start(program("gmsa-agent"), []string{"--config", config, "docker-gate"}, with.Path("gate.log"))
			must(b, err)
			b.Cleanup(gate.Kill)
			must(b, lab.WaitFor(b.Context(), "the gate", func(context.Context) error {
				if !strings.Contains(gate.LogTail(), "the gate is ready") {
					return fmt.Errorf("it is not ready: %v", gate.Exited())
				}
				return nil
			}))
			must(b, with.gated(b.Context()))

			clients := []*http.Client{without.API(), with.API()}
			var took [2][]time.Duration
			for b.Loop() {
				for range creations {
					for i, c := range clients {
						took[i] = append(took[i], create(b, c))
					}
				}
			}
			medians := [2]time.Duration{}
			for i := range took {
				slices.Sort(took[i])
				medians[i] = took[i][len(took[i])/2]
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(medians[0].Microseconds())/1000, "ms-without")
			b.ReportMetric(float64(medians[1].Microseconds())/1000, "ms-with")
			b.ReportMetric(float64((medians[1]-medians[0]).Microseconds())/1000, "ms-added-at-median")
		})
	}
}

// create has a container created, which is removed again, and says how long the
// creation took.
func create(b *testing.B, c *http.Client) time.Duration {
	body := `{"Image":"` + dockerlab.Image + `","HostConfig":{"NetworkMode":"none"}}`
	start := time.Now()
	answer, err := c.Post("http://docker/v1.41/containers/create", "application/json", strings.NewReader(body))
	must(b, err)
	text, err := io.ReadAll(answer.Body)
	took := time.Since(start)
	must(b, err)
	must(b, answer.Body.Close())
	_, rest, ok := strings.Cut(string(text), `"Id":"`)
	if answer.StatusCode != http.StatusCreated || !ok {
		b.Fatalf("%s: %s", answer.Status, text)
	}
	id, _, _ := strings.Cut(rest, `"`)
	request, err := http.NewRequestWithContext(b.Context(), http.MethodDelete, "http://docker/v1.41/containers/"+id, nil)
	must(b, err)
	gone, err := c.Do(request)
	must(b, err)
	must(b, gone.Body.Close())
	return took
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
