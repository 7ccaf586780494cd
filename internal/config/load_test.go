package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

var (
	linux   = platform{"linux", func(string) string { return "" }}
	windows = platform{"windows", func(string) string { return "" }}
)

// whatIsSaid drops where a configuration came from.
var whatIsSaid = cmpopts.IgnoreUnexported(Config{})

func TestNoFileIsAWorkingConfiguration(t *testing.T) {
	for _, p := range []platform{linux, windows} {
		t.Run(p.goos, func(t *testing.T) {
			c := p.defaults()
			d := &decoder{}
			d.check(c)
			if len(d.problems) > 0 {
				t.Errorf("the defaults do not pass the check: %v", d.problems)
			}
		})
	}
}

func TestAnEmptyFileIsTheDefaults(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "null\n", "{}"} {
		c, err := linux.parse("c.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(linux.defaults(), c, whatIsSaid); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

func TestDefaultsFollowFromOtherSettings(t *testing.T) {
	c, err := windows.parse("c.yaml", []byte("state_dir: D:\\gmsa\ncontainerd: [{inject: never}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Audit.File, `D:\gmsa\audit.jsonl`; got != want {
		t.Errorf("audit.file is %s, want %s", got, want)
	}
	if got, want := c.Secrets.Local.Dir, `D:\gmsa\secrets`; got != want {
		t.Errorf("secrets.local.dir is %s, want %s", got, want)
	}
	want := []Containerd{{Address: `\\.\pipe\containerd-containerd`, Inject: InjectNever}}
	if diff := cmp.Diff(want, c.Containerd); diff != "" {
		t.Errorf("containerd: %s", diff)
	}
}

func TestAnEmptyListOfContainerdsWatchesNone(t *testing.T) {
	c, err := linux.parse("c.yaml", []byte("containerd: []"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Containerd) != 0 {
		t.Errorf("containerd is %v, want none", c.Containerd)
	}
}

func TestNamesAreBroughtIntoOneForm(t *testing.T) {
	c, err := linux.parse("c.yaml", []byte(`
adopt: [e4781092-f116-4b79-b55e-28eb6a224e26]
directory:
  domains:
    Contoso.COM: {dns: [10.0.0.1, "[::1]:5353"]}
`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"{E4781092-F116-4B79-B55E-28EB6A224E26}"}, c.Adopt); diff != "" {
		t.Error(diff)
	}
	want := map[string]Domain{"contoso.com": {DNS: []string{"10.0.0.1:53", "[::1]:5353"}}}
	if diff := cmp.Diff(want, c.Directory.Domains); diff != "" {
		t.Error(diff)
	}
}

func TestAllProblemsAreReportedAtOnceInOrder(t *testing.T) {
	_, err := linux.parse("c.yaml", []byte(`state_dir: relative
audit:
  max_size: 32 MB
  keep: many
  colour: red
audit:
  keep: 3
channels: none
containerd:
  - address: /run/a.sock
    namespaces: k8s.io
    inject: sometimes
  - address: /run/a.sock
secrets:
  cache: {ttl: 5}
  serve:
    - domain: "con toso"
      account: web$
    - domain: contoso.com
      secret: local://a
    - domain: CONTOSO.com
      secret: local://b
policy:
  allow: []
directory:
  domains:
    contoso.com:
      controllers: ["dc1.contoso.com:389", 10.0.0.1]
      dns: [dc1.contoso.com]
      ca_file: ca.pem
domain_joined: yes
adopt: [{a: b}, "{0}"]
log:
  level:
nonsense: 1
`))
	want := []string{
		`c.yaml:1:12: state_dir: "relative" is not an absolute path`,
		`c.yaml:3:13: audit.max_size: "32 MB" is not a size: write bytes, or a number with KiB, MiB or GiB`,
		`c.yaml:4:9: audit.keep: "many" is not a number`,
		`c.yaml:5:3: audit.colour: unknown key: known here are file, max_size, keep`,
		`c.yaml:6:1: audit: given twice: first in line 2`,
		`c.yaml:8:11: channels: is a single value, must be a mapping with the keys control, plugin`,
		`c.yaml:11:17: containerd[0].namespaces: is a single value, must be a list ("- " before each entry)`,
		`c.yaml:12:13: containerd[0].inject: "sometimes" is none of auto, always, never`,
		`c.yaml:13:14: containerd[1].address: is that of containerd[0] already: name all of its namespaces there`,
		`c.yaml:15:16: secrets.cache.ttl: "5" is not a duration: write it as "90s" or "5m"`,
		`c.yaml:17:7: secrets.serve[0].secret: must name the secret, such as local://contoso`,
		`c.yaml:17:15: secrets.serve[0].domain: "con toso" has the character ' ': write a domain's DNS name (contoso.com) or NetBIOS name (CONTOSO)`,
		`c.yaml:18:16: secrets.serve[0].account: "web$": write the account's name without "$"`,
		`c.yaml:21:7: secrets.serve[2]: serves the domain and account of secrets.serve[1]`,
		`c.yaml:24:10: policy.allow: is empty: remove it to allow every container, or write a rule`,
		`c.yaml:28:21: directory.domains["contoso.com"].controllers[0]: "dc1.contoso.com:389" is not a host name, or name=address: Kerberos and TLS need the name`,
		`c.yaml:28:44: directory.domains["contoso.com"].controllers[1]: "10.0.0.1" is not a host name, or name=address: Kerberos and TLS need the name`,
		`c.yaml:29:13: directory.domains["contoso.com"].dns[0]: "dc1.contoso.com" is not an address, or address:port`,
		`c.yaml:30:16: directory.domains["contoso.com"].ca_file: "ca.pem" is not an absolute path`,
		`c.yaml:31:16: domain_joined: "yes" is none of auto, true, false`,
		`c.yaml:32:9: adopt[0]: is a mapping, must be a single value`,
		`c.yaml:32:17: adopt[1]: "{0}" is not a GUID such as {EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}`,
		`c.yaml:34:9: log.level: has no value: give it a single value, or remove the key`,
		`c.yaml:35:1: nonsense: unknown key: known here are state_dir, audit, channels, containerd, ccg, docker, credential_specs, secrets, policy, directory, aws, kubernetes, domain_joined, adopt, log, event_log`,
	}
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(err, fault.ErrMalformed) {
		t.Error("the error does not wrap fault.ErrMalformed")
	}
}

func TestWhatIsNoConfigurationIsRefusedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"syntax":            {"a: b: c\n", "c.yaml:1:5: not YAML: mapping values are not allowed in this context"},
		"tab":               {"log:\n\tlevel: info\n", "c.yaml:2:1: not YAML: found character that cannot start any token while scanning for the next token"},
		"not text":          {"log:\n  level: \xff\n", "c.yaml:2: not YAML: invalid leading UTF-8 octet (value: 255)"},
		"list":              {"- a\n", "c.yaml:1:1: is a list, must be a mapping with the keys state_dir, "},
		"word":              {"hello", "c.yaml:1:1: is a single value, must be a mapping"},
		"two documents":     {"log: {}\n---\nlog: {}\n", "c.yaml:2:1: a second YAML document"},
		"alias":             {"containerd: &a []\nadopt: *a\n", "c.yaml:1:13: containerd: anchors and aliases are not supported"},
		"merge":             {"log:\n  <<: {level: info}\n", "c.yaml:2:3: log.<<: unknown key"},
		"tag":               {"state_dir: !!binary aGFsbG8=\n", "c.yaml:1:12: state_dir: the tag !!binary is not supported"},
		"key of a mapping":  {"? {a: b}\n: c\n", "c.yaml:1:3: a key must be a plain word"},
		"empty key":         {"\"\": 1\n", `c.yaml:1:1: [""]: unknown key`},
		"empty rule":        {"policy:\n  allow: [{}]\n", "c.yaml:2:11: policy.allow[0]: is empty: it must have at least one of domains,"},
		"empty rule field":  {"policy:\n  allow: [{images: []}]\n", "c.yaml:2:20: policy.allow[0].images: is empty: remove it to allow all"},
		"empty pattern":     {"policy:\n  allow: [{labels: {a: \"\"}}]\n", `c.yaml:2:24: policy.allow[0].labels.a: a pattern must not be empty`},
		"host account":      {"policy: {host_account: never}\n", `c.yaml:1:24: policy.host_account: "never" is none of allow, forbid, require`},
		"no member":         {"domain_joined: false\npolicy: {host_account: require}\n", "c.yaml:2:24: policy.host_account: is require, and domain_joined says that this host is no member"},
		"event level":       {"event_log: {level: debug}\n", `c.yaml:1:20: event_log.level: "debug" is none of info, warn, error, off`},
		"huge size":         {"audit: {max_size: 9999999999999GiB}\n", "c.yaml:1:19: audit.max_size: "},
		"tiny size":         {"audit: {max_size: 10KiB}\n", "c.yaml:1:19: audit.max_size: must be at least 128KiB"},
		"negative duration": {"secrets: {cache: {ttl: -1s}}\n", "c.yaml:1:24: secrets.cache.ttl: must be 0s to 24h"},
		"same domain twice": {"directory: {domains: {a.b: {}, A.B: {}}}\n", `directory.domains["a.b"]: given twice, in different case`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := linux.parse("c.yaml", []byte(c.text))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestAFloodOfProblemsIsCut(t *testing.T) {
	_, err := linux.parse("c.yaml", []byte(strings.Repeat("a: 1\n", 5000)))
	var all *Error
	if !errors.As(err, &all) {
		t.Fatalf("got %v", err)
	}
	if n := len(all.Problems); n != maxProblems+1 {
		t.Errorf("%d problems, want %d", n, maxProblems+1)
	}
	if got, want := all.Problems[maxProblems].Message, "and 4900 more"; got != want {
		t.Errorf("the last says %q, want %q", got, want)
	}
}

func TestLoadSaysWhyThereIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "absent.yaml")); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("a file that is named and absent: got %v, want fault.ErrNotFound", err)
	}
	if _, err := Load(dir); !errors.Is(err, fault.ErrMalformed) {
		t.Errorf("a folder: got %v, want fault.ErrMalformed", err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large); !errors.Is(err, fault.ErrMalformed) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a file beyond the limit: got %v", err)
	}
}

func TestLoadRemembersItsFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(name, []byte("secrets: {cache: {ttl: 1m}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if c.Path() != name || c.Secrets.Cache.TTL != time.Minute {
		t.Errorf("got path %s, ttl %v", c.Path(), c.Secrets.Cache.TTL)
	}
}

func TestSettingsOfRemoteSourcesAreChecked(t *testing.T) {
	_, err := linux.parse("c.yaml", []byte(`
credential_specs:
  timeout: 0s
  cache: {dir: here, fresh: 2h, stale: 721h}
  https:
    ca_file: ca.pem
    proxy: http://me:hunter2@proxy
    allow_link_local: yes
    hosts:
      "https://x": {token_file: /t}
      A.example: {token_file: /t}
      a.example: {token_file: /t}
  oci:
    registries:
      registry.example: {plain_http: true}
      localhost:5000: {username: x}
aws:
  credentials: environment
  endpoints: {s3: minio, ssm: "http://10.0.0.1", sts: "http://[::1]:1", imds: "http://10.0.0.1", iam: "https://x"}
kubernetes: {context: x}
`))
	var problems *Error
	if !errors.As(err, &problems) {
		t.Fatalf("error %v", err)
	}
	var got []string
	for _, p := range problems.Problems {
		got = append(got, p.Key+": "+p.Message)
		if strings.Contains(p.Message, "hunter2") {
			t.Errorf("%v repeats a password", p)
		}
	}
	want := []string{
		"credential_specs.timeout: must be more than 0s and at most 2m",
		`credential_specs.cache.dir: "here" is not an absolute path`,
		"credential_specs.cache.fresh: must be 0s to 1h",
		"credential_specs.cache.stale: must be 0s to 720h",
		`credential_specs.https.ca_file: "ca.pem" is not an absolute path`,
		"credential_specs.https.proxy: has a user in it, which everyone sees who may read the file",
		`credential_specs.https.allow_link_local: "yes" is neither true nor false`,
		`credential_specs.https.hosts["https://x"]: "https://x" is not a host, or host:port`,
		`credential_specs.https.hosts["a.example"]: given twice, in different case`,
		`credential_specs.oci.registries["registry.example"].plain_http: is for a registry on this host; "registry.example" gets https`,
		`credential_specs.oci.registries["localhost:5000"]: must have both username and password_file, or neither`,
		`aws.credentials: "environment" is none of instance, container, web_identity, profile`,
		"aws.endpoints.iam: is no service of ours: known are imds, s3, secretsmanager, ssm, sts",
		"aws.endpoints.s3: is not https://HOST",
		"aws.endpoints.ssm: is not https, which only a server on this host may do without",
		"kubernetes.context: is of a kubeconfig: name it in kubernetes.kubeconfig",
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
