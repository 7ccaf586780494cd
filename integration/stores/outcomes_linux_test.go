package stores

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// page is what users are promised.
const page = "docs/stores/README.md"

// outcomes are the words of the promises.
var outcomes = map[string]struct {
	kind  error // nil: the plugin user is released
	stale bool  // and recorded as what the store gave last
}{
	"given out":           {},
	"given out, recorded": {stale: true},
	"unavailable":         {kind: fault.ErrUnavailable},
	"denied":              {kind: fault.ErrDenied},
	"malformed":           {kind: fault.ErrMalformed},
	"not found":           {kind: fault.ErrNotFound},
}

// The columns of the promises.
const (
	cold = iota
	fresh
	old
	stale
	columns
)

// promises reads the table of the page: what becomes of a redemption, by what
// the store does and how old what is cached is.
func promises(t *testing.T) map[string][columns]string {
	t.Helper()
	root, err := lab.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(page)))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][columns]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 1+columns {
			continue
		}
		var row [columns]string
		known := true
		for i := range row {
			row[i] = strings.TrimSpace(cells[i+1])
			_, ok := outcomes[row[i]]
			known = known && ok
		}
		if known {
			found[strings.TrimSpace(cells[0])] = row
		}
	}
	return found
}

// trouble is what a store does instead of answering with the plugin user.
type trouble struct {
	is condition
	do func(s server, name string) // with each secret; nil: nothing
}

var troubles = map[string]trouble{
	"is stopped":                              {is: stopped},
	"does not answer":                         {is: slow},
	"is throttled":                            {is: throttled},
	"does not let the agent read":             {is: refuses},
	"breaks off within its answer":            {is: half},
	"answers with somebody else's page":       {is: foreign},
	"shows a certificate that is not trusted": {is: untrusted},
	"has the secret no more":                  {healthy, func(s server, name string) { s.remove(name) }},
	"holds what is no credential":             {healthy, func(s server, name string) { s.put(name, "C4nary-and-nothing-else") }},
	"holds a user of another domain": {healthy, func(s server, name string) {
		s.put(name, `{"domainName":"fabrikam.com","username":"`+user+`","password":"C4nary-of-fabrikam"}`)
	}},
}

// load is how many containers redeem at the same time in each cell.
const load = 5

func TestAStoreInTroubleHasTheOutcomeThatThePagePromises(t *testing.T) {
	promised := promises(t)
	for name := range troubles {
		if _, ok := promised[name]; !ok {
			t.Errorf("%s says nothing of a store that %s", page, name)
		}
	}
	for name := range promised {
		if _, ok := troubles[name]; !ok {
			t.Errorf("%s promises what is not tested: a store that %s", page, name)
		}
	}
	everyKind(t, func(t *testing.T, k kind) {
		t.Parallel()
		h := newHost(t)
		w := &ward{h: h, server: h.start(k), kind: k}
		for name, trouble := range troubles {
			if k.scheme == "local" && trouble.do == nil {
				continue // there is no server
			}
			t.Run(name, func(t *testing.T) { w.in(t).meet(name, trouble, promised[name]) })
		}
	})
}

// ward is a store, with hosts that ask it.
type ward struct {
	*testing.T
	h *host
	server
	kind  kind
	hosts [columns]*host
}

// in is the ward in a test within the one that started it, with hosts of its
// own: the trail has each refusal only while one asker is not refused too often.
func (w *ward) in(t *testing.T) *ward {
	t.Helper()
	h := *w.h
	h.T = t
	inner := &ward{T: t, h: &h, server: w.server, kind: w.kind}
	for column, times := range map[int]map[string]any{
		fresh: {"ttl": "1h"},
		old:   {"ttl": "0s"},
		stale: {"ttl": "0s", "stale": "1h"},
	} {
		other := h.beside(map[string]any{"secrets": map[string]any{"cache": map[string]any{"stores": map[string]any{w.kind.scheme: times}}}})
		other.write(other.path("specs", "contoso.json"), contosoSpec)
		other.startAgent()
		inner.hosts[column] = other
	}
	inner.hosts[cold] = inner.hosts[old] // of a secret that it has not heard of
	return inner
}

// meet has a store get into trouble, and checks what becomes of the containers
// that redeem meanwhile and afterwards.
func (w *ward) meet(name string, trouble trouble, promised [columns]string) {
	var secrets [columns]string
	for column := range secrets {
		secrets[column] = fmt.Sprintf("s%d-%s", column, strings.ToLower(token()[:8]))
	}
	password := []byte(token())
	for column := range columns {
		w.put(secrets[column], content(w, "contoso.com", user, password))
	}
	documents := map[int][][]byte{}
	for column := fresh; column < columns; column++ {
		for i := range load {
			document, err := w.hosts[column].admit(w.container(secrets[column], i))
			if err != nil {
				w.Fatal(err)
			}
			documents[column] = append(documents[column], document)
		}
	}

	if !w.become(trouble.is) {
		w.Fatalf("the server cannot be made one that %s", name)
	}
	defer w.become(healthy)
	if trouble.do != nil {
		for column := range columns {
			trouble.do(w.server, secrets[column])
		}
		if w.kind.tells {
			promised[fresh] = promised[old]
			w.told(secrets[fresh])
		}
	}
	var redeeming sync.WaitGroup
	for column := range columns {
		for i := range load {
			redeeming.Go(func() {
				h, c := w.hosts[column], w.container(secrets[column], i)
				var release wire.Release
				var err error
				if column == cold {
					_, err = h.admit(c)
				} else {
					release, err = h.redeem(documents[column][i])
				}
				w.check(h, c, promised[column], release, err, password)
			})
		}
	}
	redeeming.Wait()

	w.become(healthy)
	for column := range columns {
		w.put(secrets[column], content(w, "contoso.com", user, password))
	}
	h, c := w.hosts[old], w.container(secrets[old], load)
	lab.Eventually(w, "a container's start when it is over", func(ctx context.Context) error {
		_, err := h.admit(c)
		return err
	})
}

// told waits until the agent knows that a secret was changed.
func (w *ward) told(secret string) {
	w.Helper()
	n := load
	lab.Eventually(w, "word of the change", func(context.Context) error {
		n++
		if _, err := w.hosts[fresh].admit(w.container(secret, n)); err == nil {
			return errors.New("what it was is given out")
		}
		return nil
	})
}

func (w *ward) container(secret string, i int) container {
	return container{id: fmt.Sprintf("%s-%d", secret, i), spec: "file://contoso.json", secret: w.ref(secret)}
}

// check checks the outcome of one redemption, and that the trail says so.
func (w *ward) check(h *host, c container, promised string, release wire.Release, err error, password []byte) {
	w.Helper()
	want := outcomes[promised]
	stale := h.records(audit.SecretStale, c.id)
	if want.kind == nil {
		if err != nil || release.User != user || string(release.Password) != string(password) {
			w.Errorf("%s: user %q, %v, want it %s", c.id, release.User, err, promised)
		}
		if want.stale != (len(stale) == 1) || want.stale && stale[0].Reason == "" {
			w.Errorf("%s: the trail says %+v, want it %s", c.id, stale, promised)
		}
		return
	}
	if !errors.Is(err, want.kind) || !strings.Contains(err.Error(), c.secret) || len(release.Password) > 0 {
		w.Errorf("%s: %v, want it %s", c.id, err, promised)
	}
	refusals := append(h.records(audit.RedeemRefused, c.id), h.records(audit.AdmitRefused, c.id)...)
	if len(stale) > 0 || len(refusals) != 1 || refusals[0].Reason == "" || refusals[0].Secret != c.secret {
		w.Errorf("%s: the trail says %+v and %+v, want it %s", c.id, stale, refusals, promised)
	}
}
