package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/kubelab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
	"github.com/gmsa-agent/gmsa-agent/secrets/secretstest"
)

// cluster is started by the first test that needs it and stopped after the last
// one. Tests that take it down start one of their own.
var cluster struct {
	sync.Once
	lab *kubelab.Lab
	err error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if cluster.lab != nil {
		if err := cluster.lab.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

func startLab(t *testing.T) *kubelab.Lab {
	t.Helper()
	if err := kubelab.Ready(); err != nil {
		t.Skip(err)
	}
	cluster.Do(func() {
		cluster.lab, cluster.err = kubelab.Start(context.Background(), kubelab.Options{Report: lab.Report(t)})
	})
	must(t, cluster.err)
	return cluster.lab
}

// admin is a store that may see everything in these namespaces.
func admin(t *testing.T, l *kubelab.Lab, namespaces ...string) *Store {
	t.Helper()
	file, err := l.AdminKubeconfig()
	must(t, err)
	return open(t, file, namespaces...)
}

// namespace makes one for a test.
func namespace(t *testing.T, l *kubelab.Lab, name string) {
	t.Helper()
	must(t, l.Namespace(t.Context(), name))
}

func keys(c *secrets.Credential) map[string][]byte {
	return map[string][]byte{"username": []byte(c.User), "password": append([]byte(nil), c.Password.Bytes()...), "domainName": []byte(c.Domain)}
}

func put(t *testing.T, l *kubelab.Lab, r secrets.Ref, password string) {
	t.Helper()
	n := nameOf(r)
	must(t, l.PutSecret(t.Context(), n.namespace, n.name, keys(secretstest.New("contoso.com", "svc", password))))
}

// wantWatched waits until the Secret's watch tells of changes. It is known by
// one: a change of something in the Secret that is not the credential.
func wantWatched(t *testing.T, s *Store, l *kubelab.Lab, r secrets.Ref) {
	t.Helper()
	c := fetch(t, s, r)
	n := nameOf(r)
	must(t, l.PutSecret(t.Context(), n.namespace, n.name, keys(c)))
	touched := 0
	lab.Eventually(t, "the watch of "+r.String(), func(ctx context.Context) error {
		if !s.Current(ctx, r, c.Version) {
			return nil
		}
		touched++
		return errors.Join(errors.New("it is current still"), l.Apply(ctx, fmt.Appendf(nil,
			"{apiVersion: v1, kind: Secret, metadata: {name: %s, namespace: %s, annotations: {touched: '%d'}}}", n.name, n.namespace, touched)))
	})
}

func TestStore(t *testing.T) {
	l := startLab(t)
	n := 0
	secretstest.Run(t, func(t *testing.T) secretstest.Backend {
		n++
		ns := fmt.Sprintf("suite-%d", n)
		namespace(t, l, ns)
		s := admin(t, l, ns)
		ref := func(name string) secrets.Ref { return secrets.Ref{Scheme: Scheme, Rest: ns + "/" + name} }
		// What is told by a watch is told a moment later.
		seen := func(name string) error {
			state := s.state(nameOf(ref(name)))
			if state == nil {
				return nil // nobody watches
			}
			return lab.WaitFor(context.Background(), "the change of "+name, func(ctx context.Context) error {
				is, err := l.SecretVersion(ctx, ns, name)
				if err != nil {
					return err
				}
				if is == "" && s.gone(state) || is == s.latest(state) {
					return nil
				}
				return fmt.Errorf("known is %s, there is %s", s.latest(state), is)
			})
		}
		return secretstest.Backend{
			Store: s,
			Ref:   ref,
			Put: func(name string, c *secrets.Credential) error {
				return errors.Join(l.PutSecret(context.Background(), ns, name, keys(c)), seen(name))
			},
			Remove: func(name string) error {
				return errors.Join(l.DeleteSecret(context.Background(), ns, name), seen(name))
			},
			Damage: func(name string) error {
				return l.PutSecret(context.Background(), ns, name, map[string][]byte{"username": []byte("svc"), "passphrase": []byte("C4nary-of-the-damaged")})
			},
		}
	})
}

// state is what is known of a Secret; nil if it is not watched.
func (s *Store) state(n name) *state {
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	return s.watches.known[n]
}

func (s *Store) latest(st *state) string {
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	return st.latest.String()
}

func (s *Store) gone(st *state) bool {
	s.watches.mu.Lock()
	defer s.watches.mu.Unlock()
	return st.gone
}

func TestARotationIsSeenAtOnceAndFetchedOnce(t *testing.T) {
	l := startLab(t)
	namespace(t, l, "rotation")
	r := ref("rotation/contoso")
	put(t, l, r, "one")
	s := admin(t, l, "rotation")
	cache := secrets.NewCache(s)
	defer cache.Close()
	wantWatched(t, s, l, r)
	wantPassword(t, cache, r, "one")
	put(t, l, r, "two")
	lab.Eventually(t, "the new password", func(ctx context.Context) error {
		c, err := cache.Fetch(ctx, r)
		if err != nil {
			return err
		}
		defer c.Wipe()
		if string(c.Password.Bytes()) != "two" {
			return errors.New("the old one")
		}
		return nil
	})
	must(t, l.DeleteSecret(t.Context(), "rotation", "contoso"))
	lab.Eventually(t, "the end of the Secret", func(ctx context.Context) error {
		_, err := cache.Fetch(ctx, r)
		if !errors.Is(err, fault.ErrNotFound) {
			return fmt.Errorf("fetched with %v", err)
		}
		return nil
	})
	if s.state(nameOf(r)) != nil {
		t.Error("a Secret that is gone is watched still")
	}
	put(t, l, r, "three")
	wantPassword(t, cache, r, "three")
}

// role is a store that may do what a manifest says, with its first "contoso".
func role(t *testing.T, l *kubelab.Lab, manifest string) *Store {
	t.Helper()
	must(t, l.Apply(t.Context(), []byte(manifest)))
	token, err := l.Token(t.Context(), "gmsa-system", "gmsa-agent", 10*time.Minute)
	must(t, err)
	file, err := l.TokenKubeconfig(token)
	must(t, err)
	return open(t, file, "gmsa-system", "default")
}

func example(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", "secret-reader.yaml"))
	must(t, err)
	return string(data)
}

func TestTheRoleOfThePageIsEnoughAndNoMore(t *testing.T) {
	l := startLab(t)
	s := role(t, l, example(t))
	mine, others := ref("gmsa-system/contoso"), ref("gmsa-system/payroll")
	put(t, l, mine, "one")
	put(t, l, others, "two")
	lab.Eventually(t, "the role", func(ctx context.Context) error {
		_, err := s.Fetch(ctx, mine)
		return err
	})
	wantWatched(t, s, l, mine)
	_, err := s.Fetch(t.Context(), others)
	wantError(t, err, fault.ErrDenied, "403", `User "system:serviceaccount:gmsa-system:gmsa-agent" cannot get resource "secrets"`)
	_, err = s.Fetch(t.Context(), ref("default/contoso"))
	wantError(t, err, fault.ErrDenied, "403")
	_, err = s.Fetch(t.Context(), ref("kube-system/contoso"))
	wantError(t, err, fault.ErrDenied, "secrets.kubernetes.namespaces")
}

func TestWithoutTheRightToWatchOnlyTimeTells(t *testing.T) {
	l := startLab(t)
	manifest := strings.Replace(example(t), "verbs: [get, watch]", "verbs: [get]", 1)
	manifest = strings.ReplaceAll(strings.ReplaceAll(manifest, "gmsa-agent", "gmsa-getter"), "contoso", "get-only")
	must(t, l.Apply(t.Context(), []byte(manifest)))
	token, err := l.Token(t.Context(), "gmsa-system", "gmsa-getter", 10*time.Minute)
	must(t, err)
	file, err := l.TokenKubeconfig(token)
	must(t, err)
	s := open(t, file, "gmsa-system")
	denied := make(chan bool, 100)
	s.watches.pause = func(_ int, is bool) time.Duration {
		denied <- is
		return time.Millisecond
	}
	r := ref("gmsa-system/get-only")
	put(t, l, r, "one")
	lab.Eventually(t, "the role", func(ctx context.Context) error {
		_, err := s.Fetch(ctx, r)
		return err
	})
	first := fetch(t, s, r)
	put(t, l, r, "two")
	for range 3 {
		if !<-denied {
			t.Error("the watch was not refused")
		}
	}
	if !s.Current(t.Context(), r, first.Version) {
		t.Error("what was fetched is not current, and the next use would fetch again")
	}
	if second := fetch(t, s, r); s.Current(t.Context(), r, first.Version) || !s.Current(t.Context(), r, second.Version) {
		t.Error("what was fetched before is current, or what was fetched last is not")
	}
}

func TestSecretsOfEveryTypeAndKeyAreRead(t *testing.T) {
	l := startLab(t)
	namespace(t, l, "types")
	s := admin(t, l, "types")
	for name, manifest := range map[string]string{
		"basic":     "type: kubernetes.io/basic-auth\nstringData: {username: 'svc@contoso.com', password: one}",
		"fetcher":   "stringData: {usernameOfStandardUserAccount: svc, passwordOfStandardUserAccount: one, domainName: contoso.com, distinguishedNameOfgMSA: x}",
		"immutable": "immutable: true\nstringData: {Username: svc, PASSWORD: one, DomainName: contoso.com}",
	} {
		must(t, l.Apply(t.Context(), fmt.Appendf(nil, "apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: types}\n%s", name, manifest)))
		wantPassword(t, s, ref("types/"+name), "one")
	}
	for name, manifest := range map[string]string{
		"empty": "", "half": "stringData: {username: svc}", "two": "stringData: {username: svc, password: canary, usernameOfStandardUserAccount: other}",
	} {
		must(t, l.Apply(t.Context(), fmt.Appendf(nil, "apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: types}\n%s", name, manifest)))
		_, err := s.Fetch(t.Context(), ref("types/"+name))
		wantError(t, err, fault.ErrMalformed, "/api/v1/namespaces/types/secrets/"+name, "has no credential")
	}
}

func TestARancherInputGoesTheWholeWay(t *testing.T) {
	l := startLab(t)
	namespace(t, l, "cattle-windows-gmsa")
	put(t, l, ref("cattle-windows-gmsa/contoso"), "one")
	r, err := secrets.ParseRef("cattle-windows-gmsa:contoso")
	must(t, err)
	wantPassword(t, admin(t, l, "cattle-windows-gmsa"), r, "one")
}

func TestAServerThatHangsOrIsGoneIsUnavailableAndTheWatchComesBack(t *testing.T) {
	if err := kubelab.Ready(); err != nil {
		t.Skip(err)
	}
	l, err := kubelab.Start(t.Context(), kubelab.Options{Report: lab.Report(t)})
	must(t, err)
	t.Cleanup(func() { must(t, l.Stop()) })
	namespace(t, l, "apps")
	r := ref("apps/contoso")
	put(t, l, r, "one")
	s := admin(t, l, "apps")
	s.watches.pause = func(int, bool) time.Duration { return 20 * time.Millisecond }
	wantWatched(t, s, l, r)
	before := fetch(t, s, r)

	must(t, l.Pause())
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = s.Fetch(short, r)
	wantError(t, err, fault.ErrUnavailable, context.DeadlineExceeded.Error())
	must(t, l.Resume())

	must(t, l.Kill())
	_, err = s.Fetch(t.Context(), r)
	wantError(t, err, fault.ErrUnavailable, strings.TrimPrefix(l.URL, "https://"))
	if !s.Current(t.Context(), r, before.Version) {
		t.Error("what was fetched is not current while nobody can tell")
	}
	must(t, l.StartServer(t.Context()))
	put(t, l, r, "two")
	lab.Eventually(t, "the watch", func(ctx context.Context) error {
		if s.Current(ctx, r, before.Version) {
			return errors.New("it is current still")
		}
		return nil
	})
	wantPassword(t, s, r, "two")
	wantWatched(t, s, l, r)
	// Deleted while nobody watches.
	last := fetch(t, s, r)
	must(t, l.Kill())
	must(t, l.StartServer(t.Context()))
	must(t, l.DeleteSecret(t.Context(), "apps", "contoso"))
	lab.Eventually(t, "the end of the Secret", func(ctx context.Context) error {
		if s.Current(ctx, r, last.Version) {
			return errors.New("it is current still")
		}
		return nil
	})
}
