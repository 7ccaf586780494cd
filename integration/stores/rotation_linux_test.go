package stores

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// fleet is how many containers start.
const fleet = 200

// starting is how many of them do so at the same time.
const starting = 16

// starts starts containers that use a secret, one after the other in each of
// several goroutines, until enough says of the next one that it is. It returns
// the passwords that they got by the number of the container, from 1.
func (h *host) starts(secret string, start func(container) (password string, err error), enough func(n int) bool) map[int]string {
	h.Helper()
	passwords := map[int]string{}
	var errs []error
	var mu sync.Mutex
	var next atomic.Int64
	var all sync.WaitGroup
	for range starting {
		all.Go(func() {
			for n := int(next.Add(1)); !enough(n); n = int(next.Add(1)) {
				password, err := start(container{fmt.Sprintf("c%d", n), "file://contoso.json", secret})
				mu.Lock()
				passwords[n] = password
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	h.must(errors.Join(errs...))
	return passwords
}

// startOne has a container admitted and redeems its grant, over the agent's
// channels. A runtime and a shim are left out, which would take most of the time.
func (h *host) startOne(c container) (password string, err error) {
	document, err := h.admit(c)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.id, err)
	}
	release, err := h.redeem(document)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.id, err)
	}
	return string(release.Password), nil
}

// runOne has containerd start a container and delete it when its grant was
// redeemed.
func (h *host) runOne(c container) (password string, err error) {
	document, err := h.tryRun(c)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.id, err)
	}
	release, err := h.redeem(document)
	return string(release.Password), errors.Join(err, h.containerd.Delete(h.Context(), c.id))
}

// versions are those that were released, by the trail, each once, in order.
func (h *host) versions(secret string) (found []string, releases int) {
	for _, r := range h.records(audit.RedeemReleased, "") {
		if r.Secret == secret {
			releases++
			if !slices.Contains(found, r.Version) {
				found = append(found, r.Version)
			}
		}
	}
	return found, releases
}

// mustChange checks that there are both passwords, and no other.
func (h *host) mustChange(passwords map[int]string, first, second string) {
	h.Helper()
	seen := map[string]int{}
	for _, p := range passwords {
		seen[p]++
	}
	if seen[first] == 0 || seen[second] == 0 || len(seen) != 2 {
		h.Errorf("of %d containers %d have the first password and %d the second", len(passwords), seen[first], seen[second])
	}
}

// mustHear waits until the agent gives out a password.
func (h *host) mustHear(secret, password string) {
	h.Helper()
	n := 0
	lab.Eventually(h, "word of the new version", func(context.Context) error {
		n++
		got, err := h.startOne(container{fmt.Sprintf("probe%d", n), "file://contoso.json", secret})
		if err == nil && got != password {
			err = errors.New("another password is given out")
		}
		return err
	})
}

// newRotation is a host with a store of a kind, which holds the first password.
// prepare is for what comes before the agent; it may be nil.
func newRotation(t *testing.T, k kind, ttl string, prepare func(*host)) (h *host, s server, first, second string) {
	t.Helper()
	h = newHost(t)
	if prepare != nil {
		prepare(h)
	}
	h.configure(map[string]any{"secrets": map[string]any{"cache": map[string]any{"ttl": ttl}}})
	s = h.start(k)
	h.write(h.path("specs", "contoso.json"), contosoSpec)
	first, second = token(), token()
	s.put("gmsa", content(t, "contoso.com", user, []byte(first)))
	h.startAgent()
	return h, s, first, second
}

func TestARotationWhileAFleetStartsCostsOneFetchForEachVersion(t *testing.T) {
	everyKind(t, func(t *testing.T, k kind) {
		h, s, first, second := newRotation(t, k, "1h", nil)
		h.rotate(k, s, first, second, h.startOne)
	})
}

// The same with containerd's own containers, for one store: for each of them it
// would take minutes, most of them the runtime's.
func TestARotationWhileContainerdStartsAFleet(t *testing.T) {
	ofKind(t, "vault", func(t *testing.T, k kind) {
		h, s, first, second := newRotation(t, k, "1h", (*host).startContainerd)
		h.rotate(k, s, first, second, h.runOne)
	})
}

// rotate rotates when half of the fleet has started, and tells the agent of it
// where the store does not.
func (h *host) rotate(k kind, s server, first, second string, start func(container) (string, error)) {
	secret := s.ref("gmsa")
	rotated := make(chan struct{})
	passwords := h.starts(secret, start, func(n int) bool {
		if n == fleet/2 { // the others go on meanwhile
			func() {
				defer close(rotated) // if it fails, too: the last ones wait for it
				s.put("gmsa", content(h, "contoso.com", user, []byte(second)))
				if k.tells {
					h.mustHear(secret, second)
				} else {
					h.must(h.call(h.Context(), agent.VerbForget, agent.Forget{Secret: secret, Reason: "rotated"}, nil))
				}
			}()
		}
		if n > fleet {
			<-rotated
		}
		return n > fleet+starting
	})
	h.mustChange(passwords, first, second)
	for n := fleet + 1; n <= fleet+starting; n++ {
		if passwords[n] != second {
			h.Errorf("container %d was started after the rotation and has not the second password", n)
		}
	}
	versions, releases := h.versions(secret)
	if len(versions) != 2 || releases < len(passwords) {
		h.Errorf("the trail has %d versions and %d releases, want 2 and no less than %d", len(versions), releases, len(passwords))
	}
	if n := s.requests("gmsa"); n != 2 {
		h.Errorf("the store was asked %d times for two versions", n)
	}
}

// TestARotationThatNobodyTellsOfIsSeenWhenTheTimeIsOver starts containers until
// one has the new password.
func TestARotationThatNobodyTellsOfIsSeenWhenTheTimeIsOver(t *testing.T) {
	const ttl = time.Second
	everyKind(t, func(t *testing.T, k kind) {
		if k.tells {
			t.Skip("the store tells")
		}
		h, s, first, second := newRotation(t, k, ttl.String(), nil)
		begin := time.Now()
		passwords := h.starts(s.ref("gmsa"), h.startOne, func(n int) bool {
			if n == fleet/2 {
				s.put("gmsa", content(t, "contoso.com", user, []byte(second)))
			}
			if n <= fleet {
				return false
			}
			versions, _ := h.versions(s.ref("gmsa"))
			return len(versions) > 1 || time.Since(begin) > 30*ttl
		})
		most := int(time.Since(begin)/ttl) + 1
		h.mustChange(passwords, first, second)
		if n := s.requests("gmsa"); n > most {
			t.Errorf("the store was asked %d times, once in %v is %d times", n, ttl, most)
		}
	})
}
