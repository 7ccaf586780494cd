package vault

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// session is what a login brought: a client with a token. Its mutable fields are
// guarded by Store.mu.
type session struct {
	client *api.Client
	began  time.Time
	own    bool        // the store logged in for it, and ends it
	file   os.FileInfo // of a token that is not own

	expires time.Time // zero: never, or nobody knows
	used    bool      // since it was renewed
	timer   *time.Timer
}

const (
	// fresh is how long a new session is taken for good: a refusal is then one
	// of what was asked for.
	fresh = 30 * time.Second
	// pauseDenied is how long a login that was refused is not tried again with
	// the same credentials. Vault locks out those who try too often.
	pauseDenied = 10 * time.Second
	// margin is how long before its end a token is not used any more, if it
	// lives that long.
	margin = 10 * time.Second
	// farewell bounds the requests of Close, and of a renewal.
	farewell = 5 * time.Second
	// soonest is how soon a renewal follows another.
	soonest = 5 * time.Second
)

// denial is a login that was refused.
type denial struct {
	with [sha256.Size]byte // what it was tried with
	at   time.Time
	err  error
}

// get reads a path of Vault's API as whoever the configuration says. A token
// that Vault does not take any more is replaced, once.
func (s *Store) get(ctx context.Context, path string) (*answer, error) {
	for try := 1; ; try++ {
		current, err := s.logged(ctx)
		if err != nil {
			return nil, err
		}
		a, err := s.ask(ctx, request{client: current.client, path: path})
		if code(err) != http.StatusForbidden || try == 2 || s.holds(ctx, current) {
			return a, err
		}
		s.drop(current)
	}
}

// holds reports whether a session's token is still good, as far as one can ask:
// the answer to a request with one that is not is the same as to one for
// something that it may not see.
func (s *Store) holds(ctx context.Context, x *session) bool {
	if time.Since(x.began) < fresh {
		return true
	}
	a, err := s.ask(ctx, request{client: x.client, path: "auth/token/lookup-self"})
	if err == nil {
		clear(a.body)
	}
	return code(err) != http.StatusForbidden
}

// logged returns the session that there is, or logs in: one caller for all.
func (s *Store) logged(ctx context.Context) (*session, error) {
	if x := s.current(); x != nil {
		return x, nil
	}
	select {
	case s.login <- struct{}{}:
		defer func() { <-s.login }()
	case <-ctx.Done():
		return nil, s.at(interrupted(ctx))
	}
	if x := s.current(); x != nil {
		return x, nil
	}
	return s.begin(ctx)
}

// current is the session that can be used now, or nil.
func (s *Store) current() *session {
	s.mu.Lock()
	x := s.session
	s.mu.Unlock()
	if x == nil {
		return nil
	}
	if !x.own {
		// Whoever keeps the token's file has put another one into it.
		if now, err := os.Stat(s.cfg.Auth.TokenFile); err == nil && !sameFile(now, x.file) {
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !x.expires.IsZero() && time.Until(x.expires) <= 0 || s.session != x {
		return nil
	}
	x.used = true
	return x
}

func sameFile(a, b os.FileInfo) bool {
	return b != nil && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}

// begin logs in.
func (s *Store) begin(ctx context.Context) (*session, error) {
	x := &session{own: s.method.name != "token"}
	if !x.own { // looked at before it is read: what changes in between is read again
		x.file, _ = os.Stat(s.cfg.Auth.TokenFile)
	}
	parameters, secret, err := s.method.parameters()
	if err != nil {
		return nil, err
	}
	with, err := fingerprint(parameters)
	if err != nil {
		return nil, err
	}
	if err := s.wasDenied(with); err != nil {
		return nil, err
	}
	var g granted
	if x.own {
		g, err = s.logIn(ctx, parameters, secret)
	} else {
		g, err = s.lookUp(ctx, parameters["token"])
	}
	if err != nil {
		if errors.Is(err, fault.ErrDenied) {
			s.mu.Lock()
			s.denied = denial{with, time.Now(), err}
			s.mu.Unlock()
		}
		return nil, err
	}
	if x.client, err = s.newClient(g.token); err != nil {
		return nil, err
	}
	x.began = time.Now()
	x.live(g.lease)
	return x, s.keep(x, g)
}

// fingerprint is of what a login is tried with.
func fingerprint(parameters map[string]string) ([sha256.Size]byte, error) {
	b, err := json.Marshal(parameters)
	defer clear(b)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("%w: %w", err, fault.ErrUnavailable)
	}
	return sha256.Sum256(b), nil
}

func (s *Store) wasDenied(with [sha256.Size]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.denied.with == with && time.Since(s.denied.at) < pauseDenied {
		return s.denied.err
	}
	return nil
}

// live sets the session's end.
func (x *session) live(lease float64) {
	x.expires = time.Time{}
	if life := seconds(lease); life > 0 {
		x.expires = time.Now().Add(life - min(margin, life/10))
	}
}

// keep makes x the session that is used.
func (s *Store) keep(x *session, g granted) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("the store is closed: %w", fault.ErrUnavailable)
	}
	if s.session != nil {
		s.session.stop()
	}
	s.session = x
	if g.renewable && !x.expires.IsZero() {
		s.schedule(x, time.Until(x.expires)*2/3)
	}
	return nil
}

// drop ends the use of a session whose token is not good any more.
func (s *Store) drop(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.stop()
	if s.session == x {
		s.session = nil
	}
}

// stop ends the renewals. Store.mu is held, or nobody else has the session.
func (x *session) stop() {
	if x.timer != nil {
		x.timer.Stop()
	}
}

// schedule has the session renewed after a while. Store.mu is held.
func (s *Store) schedule(x *session, after time.Duration) {
	x.timer = time.AfterFunc(max(after, soonest), func() {
		s.mu.Lock()
		if s.closed || s.session != x {
			s.mu.Unlock()
			return
		}
		s.renewals.Add(1)
		s.mu.Unlock()
		defer s.renewals.Done()
		s.renew(x)
	})
}

// renew prolongs the token's life. A token of the store's own that nobody has
// used for so long is left to end; one that was given to it is kept alive, as
// nobody can say when there will be another.
func (s *Store) renew(x *session) {
	s.mu.Lock()
	used := x.used
	x.used = false
	s.mu.Unlock()
	if x.own && !used {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	a, err := s.ask(ctx, request{client: x.client, path: "auth/token/renew-self", body: []byte("{}")})
	var renewed struct {
		Auth struct {
			Lease     float64 `json:"lease_duration"`
			Renewable bool
		}
	}
	if err == nil {
		if json.Unmarshal(a.body, &renewed) != nil {
			err = errForeign
		}
		clear(a.body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.session != x:
	case err == nil:
		x.live(renewed.Auth.Lease)
		if renewed.Auth.Renewable && !x.expires.IsZero() {
			s.schedule(x, time.Until(x.expires)*2/3)
		}
	case code(err) == http.StatusForbidden || code(err) == http.StatusBadRequest:
		// It is at its end, or may not renew itself: it is used as long as it
		// lives.
	case time.Until(x.expires) > soonest:
		s.schedule(x, time.Until(x.expires)/2)
	}
}

// revoke ends a token that the store made. Whether that succeeds, its end comes.
func (s *Store) revoke(x *session) {
	if !x.own {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if a, err := s.ask(ctx, request{client: x.client, path: "auth/token/revoke-self", body: []byte("{}")}); err == nil {
		clear(a.body)
	}
}
