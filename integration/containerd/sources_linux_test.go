package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook/bundle"
	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/httpslab"
	"github.com/gmsa-agent/gmsa-agent/integration/kubelab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/registrylab"
	"github.com/gmsa-agent/gmsa-agent/integration/s3lab"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// remote is a source that is not on the host.
type remote struct {
	ready func() error
	// start starts the server, has it hold the document, and returns how the
	// configuration says where it is, a reference to the document, one to a
	// document that nobody has asked for yet, and how the server is stopped.
	start func(h *host, document []byte) (settings, ref, cold string, stop func() error)
}

var remotes = map[string]remote{
	"https": {
		func() error { return nil },
		func(h *host, document []byte) (string, string, string, func() error) {
			l, err := httpslab.Start(httpslab.Options{})
			h.must(err)
			l.Put("webapp01.json", document)
			l.Put("cold.json", document)
			at := l.URL + "/private/"
			settings := fmt.Sprintf("  https: {ca_file: %s, hosts: {%q: {token_file: %s}}}\n", l.CAFile, strings.TrimPrefix(l.URL, "https://"), l.TokenFile)
			return settings, at + "webapp01.json", at + "cold.json", l.Stop
		},
	},
	"s3": {
		s3lab.Ready,
		func(h *host, document []byte) (string, string, string, func() error) {
			l, err := s3lab.Start(h.t.Context(), s3lab.Options{})
			h.must(err)
			h.must(l.MakeBucket(h.t.Context(), "specs"))
			for _, key := range []string{"web/webapp01.json", "web/cold.json"} {
				h.must(l.Put(h.t.Context(), "specs", key, document))
			}
			keys := filepath.Join(h.dir, "aws-credentials")
			h.must(l.Owner.WriteCredentials(keys))
			settings := fmt.Sprintf("aws: {credentials: profile, profile_file: %s, region: %s, ca_file: %s, path_style: true, endpoints: {s3: %q}}\n", keys, s3lab.Region, l.CAFile, l.URL)
			return settings, "arn:aws:s3:::specs/web/webapp01.json", "s3://specs/web/cold.json", l.Stop
		},
	},
	"ssm": {
		awslab.Ready,
		func(h *host, document []byte) (string, string, string, func() error) {
			l, err := awslab.Start(h.t.Context(), lab.Report(h.t))
			h.must(err)
			for _, name := range []string{"/specs/webapp01", "/specs/cold"} {
				h.must(l.Put(h.t.Context(), awslab.Parameter{Name: name, Value: string(document)}))
			}
			role, err := awslab.StartMetadata(h.t.Context(), awslab.Instance{Region: "eu-west-1", ID: "AKIDEXAMPLE", Secret: "of-no-account", SessionToken: "of-no-account"})
			h.must(err)
			settings := fmt.Sprintf("aws: {credentials: instance, region: eu-west-1, endpoints: {ssm: %q, imds: %q}}\n", l.URL, role.URL)
			return settings, "ssm:///specs/webapp01", "arn:aws:ssm:eu-west-1:123456789012:parameter/specs/cold",
				func() error { return errors.Join(l.Stop(), role.Stop()) }
		},
	},
	"oci": {
		registrylab.Ready,
		func(h *host, document []byte) (string, string, string, func() error) {
			l, err := registrylab.Start(h.t.Context(), registrylab.Options{})
			h.must(err)
			settings := fmt.Sprintf("  oci: {registries: {%q: {ca_file: %s, username: %s, password_file: %s}}}\n", l.Host, l.CAFile, l.Username, l.PasswordFile)
			h.configure(settings)
			file := filepath.Join(h.dir, "specs", "webapp01.json")
			h.write(file, string(document))
			for _, tag := range []string{"1", "cold"} {
				if out, err := h.command("credspec", "push", "oci://"+l.Host+"/specs/webapp01:"+tag, file).CombinedOutput(); err != nil {
					h.t.Fatalf("credspec push: %v: %s", err, out)
				}
			}
			return settings, "oci://" + l.Host + "/specs/webapp01:1", "oci://" + l.Host + "/specs/webapp01:cold", l.Stop
		},
	},
	"kubernetes": {
		kubelab.Ready,
		func(h *host, document []byte) (string, string, string, func() error) {
			l, err := kubelab.Start(h.t.Context(), kubelab.Options{})
			h.must(err)
			for _, name := range []string{"webapp01", "cold"} {
				h.must(l.PutSpec(h.t.Context(), name, document))
			}
			kubeconfig, err := l.AdminKubeconfig()
			h.must(err)
			return fmt.Sprintf("kubernetes: {kubeconfig: %s}\n", kubeconfig), "kubernetes://webapp01", "kubernetes://cold", l.Stop
		},
	},
}

// configure writes the agent's configuration anew. What is indented belongs to
// credential_specs.
func (h *host) configure(settings string) {
	h.t.Helper()
	var specs, top strings.Builder
	for line := range strings.Lines(settings) {
		if strings.HasPrefix(line, " ") {
			specs.WriteString(line)
		} else {
			top.WriteString(line)
		}
	}
	h.write(h.config(), fmt.Sprintf(`state_dir: %[1]s/state
channels:
  control: {endpoint: %[2]s}
  plugin: {endpoint: %[1]s/plugin.sock}
containerd:
- address: %[3]s
  state_dir: %[4]s
  namespaces: [%[5]s]
  inject: never
credential_specs:
  folders: [%[1]s/specs]
  cache: {fresh: 0s, stale: 1h}
%[6]s%[7]s`, h.dir, h.endpoint(), h.Address(), h.StateDir(), h.Namespace, specs.String(), top.String()))
}

// document returns the document in a container's bundle without its grant, and
// what a source says that its reference means.
func (h *host) documents(id, ref string) (inBundle, atSource string) {
	h.t.Helper()
	asked, err := bundle.Read(h.configJSON(id))
	h.must(err)
	out, err := h.command("credspec", "resolve", "-o", "json", ref).Output()
	h.must(err)
	var resolved struct{ Document string }
	h.must(json.Unmarshal(out, &resolved))
	parsed, err := credspec.Parse([]byte(asked.CredentialSpec))
	h.must(err)
	account := parsed.ActiveDirectoryConfig.HostAccountConfig
	if account == nil {
		h.t.Fatalf("%s has no grant in its document", id)
	}
	want, err := credspec.SetHostAccountConfig([]byte(resolved.Document), *account)
	h.must(err)
	return asked.CredentialSpec, string(want)
}

func TestAContainerStartsThroughEverySource(t *testing.T) {
	local := func(name, ref string) {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, onlyWrapper)
			h.configure("")
			h.startAgent()
			h.run(h.asking("web", ref))
			h.admitted("web")
			h.mustRedeem("web")
		})
	}
	local("file", "file://webapp01.json")
	local("raw", "raw://"+spec)
	for name, source := range remotes {
		t.Run(name, func(t *testing.T) { source.outage(t) })
	}
}

// outage starts containers through a source: while it is up, while it is down
// and its document cached, and while it is down and it is not.
func (r remote) outage(t *testing.T) {
	if err := r.ready(); err != nil {
		t.Skip(err)
	}
	h := newHost(t, onlyWrapper)
	settings, ref, cold, stop := r.start(h, []byte(spec))
	stopped := false
	t.Cleanup(func() {
		if !stopped {
			h.must(stop())
		}
	})
	h.configure(settings)
	h.startAgent()

	h.run(h.asking("web", ref))
	if got, want := h.documents("web", ref); got != want {
		t.Errorf("the document in the bundle is %s, want %s", got, want)
	}
	r0 := h.recorded(audit.AdmitGranted, "web")
	if stale := h.records(audit.SpecStale, "web"); len(stale) > 0 {
		t.Errorf("the source is up and the trail says %+v", stale)
	}

	h.must(stop())
	stopped = true
	h.run(h.asking("warm", ref))
	if got := h.recorded(audit.AdmitGranted, "warm"); got.Digest != r0.Digest {
		t.Errorf("warm: digest %s, want %s", got.Digest, r0.Digest)
	}
	if got := h.recorded(audit.SpecStale, "warm"); !strings.Contains(got.Reason, "old") || got.Reference != r0.Reference {
		t.Errorf("warm: the trail says %+v", got)
	}
	h.saysHowOld(r0)

	h.killAgent() // what is on disk is enough
	h.startAgent()
	h.run(h.asking("after", ref))
	h.recorded(audit.SpecStale, "after")

	err := h.Run(t.Context(), h.asking("cold", cold))
	parsed, perr := credspec.ParseRef(cold)
	h.must(perr)
	if err == nil || !strings.Contains(err.Error(), "was not started") || !strings.Contains(err.Error(), parsed.String()) {
		t.Errorf("cold: %v, want an error that names %s", err, parsed)
	}
	if _, err := os.Stat(filepath.Join(h.Bundle("cold"), bundle.FileName)); err == nil {
		t.Error("cold: it has a bundle")
	}
	h.recorded(audit.AdmitRefused, "cold")
}

// saysHowOld checks that status says how old the document is, and why.
func (h *host) saysHowOld(r audit.Record) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	s, err := h.status(ctx)
	h.must(err)
	var found *agent.Document
	for i := range s.Documents {
		if s.Documents[i].Reference == r.Reference {
			found = &s.Documents[i]
		}
	}
	if found == nil || found.Digest != r.Digest || found.Stale == "" || found.Confirmed.IsZero() || found.Confirmed.After(time.Now()) {
		h.t.Errorf("status says %+v of %s", found, r.Reference)
	}
	out, err := h.command("status").Output()
	h.must(err)
	if text := string(out); !strings.Contains(text, r.Reference) || !strings.Contains(text, " ago") {
		h.t.Errorf("status does not say how old %s is:\n%s", r.Reference, text)
	}
}
