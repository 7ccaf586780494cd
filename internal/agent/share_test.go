package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

var webapp01 = hook.Shared{Place: "docker file://webapp01.json", Reference: "file://webapp01.json"}

func ofDocker(id string) hook.Facts {
	return hook.Facts{Key: hook.Key{Runtime: "docker", ID: id}, Image: "web:1", CredentialSpec: "file://webapp01.json"}
}

func (w *world) share(last hook.Copy) hook.Copy {
	w.t.Helper()
	c, err := w.Share(w.t.Context(), webapp01, last)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func tokenIn(t *testing.T, document []byte) string {
	t.Helper()
	spec, err := credspec.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	return spec.ActiveDirectoryConfig.HostAccountConfig.PluginInput
}

func TestACopyStaysWhileItsSourceAndItsSecretDo(t *testing.T) {
	w := newWorld(t)
	first := w.share(hook.Copy{})
	if again := w.share(first); string(again.Document) != string(first.Document) || again.Made != first.Made {
		t.Error("an unchanged source makes another copy")
	}
	for name, last := range map[string]hook.Copy{
		"somebody's document": {Document: []byte(withHost(t, credspec.PluginGUID, "local://contoso")), Made: first.Made},
		"of another making":   {Document: first.Document, Made: "x"},
		"nothing":             {},
	} {
		if c := w.share(last); tokenIn(t, c.Document) == tokenIn(t, first.Document) {
			t.Errorf("%s: the token is the first one's", name)
		}
	}
	w.file("webapp01.json", withHost(t, credspec.PluginGUID, "local://contoso"))
	if c := w.share(first); tokenIn(t, c.Document) == tokenIn(t, first.Document) {
		t.Error("a token outlives its source's document")
	}
}

func TestAContainerJoinsTheLastCopyOnly(t *testing.T) {
	w := newWorld(t)
	first := w.share(hook.Copy{})
	w.share(hook.Copy{})
	if _, err := w.Join(t.Context(), ofDocker("a"), webapp01, first, ""); !errors.Is(err, hook.ErrReplaced) {
		t.Errorf("%v", err)
	}
	if w.Holds(ofDocker("a").Key) {
		t.Error("it holds a grant")
	}
}

func TestAContainerThatSharesADocumentDoesNotChooseItsSecret(t *testing.T) {
	w := newWorld(t)
	c := w.share(hook.Copy{})
	f := ofDocker("a")
	f.Labels = map[string]string{hook.KeySecret: "local://other"}
	if _, err := w.Join(t.Context(), f, webapp01, c, ""); !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), hook.KeySecret) {
		t.Errorf("%v", err)
	}
	f.Labels[hook.KeySecret] = "local://contoso"
	if _, err := w.Join(t.Context(), f, webapp01, c, ""); err != nil {
		t.Error(err)
	}
}

// Docker on containerd: the wrapper sees what Docker has read from its place.
func TestAContainerOfDockersOnContainerdIsAdmittedOnce(t *testing.T) {
	w := newWorld(t)
	c := w.share(hook.Copy{})
	granted, err := w.Join(t.Context(), ofDocker("a"), webapp01, c, "")
	if err != nil {
		t.Fatal(err)
	}
	moby := hook.Facts{Key: hook.Key{Runtime: "containerd", Namespace: "moby", ID: "a"}, CredentialSpec: string(c.Document)}
	answer, err := w.Admit(t.Context(), moby)
	if err != nil || string(answer.Document) != string(c.Document) || answer.Grant != granted.Grant {
		t.Errorf("%v, %v", answer.Grant, err)
	}
	if err := w.Admitted(t.Context(), moby); err != nil {
		t.Error(err)
	}
	other, elsewhere := moby, moby
	other.ID, elsewhere.Namespace = "b", "default"
	for _, f := range []hook.Facts{other, elsewhere} {
		if _, err := w.Admit(t.Context(), f); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("%v: %v", f.Key, err)
		}
	}
}

func TestNoGrantWithoutARecordOfAJoin(t *testing.T) {
	w := newWorld(t)
	c := w.share(hook.Copy{})
	w.trail.fails = true
	if _, err := w.Join(t.Context(), ofDocker("a"), webapp01, c, ""); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	w.trail.fails = false
	if w.Holds(ofDocker("a").Key) {
		t.Error("it holds a grant that nobody has recorded")
	}
	if _, err := w.Redeem(t.Context(), &audit.Peer{}, func() error { return nil }, tokenIn(t, c.Document)); err == nil {
		t.Error("it redeems")
	}
}
