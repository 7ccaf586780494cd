package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

func TestAnAgentThatIsNotThereIsWaitedForAndAnAnswerIsNot(t *testing.T) {
	gone := &unreachable{fmt.Errorf("no such pipe: %w", fault.ErrUnavailable)}
	for name, c := range map[string]struct {
		answers []error // the last one for ever
		asked   int     // 0: until patience ends
		want    error
	}{
		"it is there":         {[]error{nil}, 1, nil},
		"it is restarted":     {[]error{gone, gone, nil}, 3, nil},
		"it was cut off":      {[]error{fmt.Errorf("read: %w", fault.ErrUnavailable), nil}, 2, nil},
		"it stays away":       {[]error{gone}, 0, fault.ErrUnavailable},
		"it refuses":          {[]error{&wire.Refusal{Code: wire.CodeUnavailable}}, 1, fault.ErrUnavailable},
		"it may not be asked": {[]error{&unreachable{fault.ErrDenied}}, 1, fault.ErrDenied},
		"another serves":      {[]error{&unreachable{&channel.UntrustedServerError{}}}, 1, fault.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, began := 0, time.Now()
				ask := patiently(func(context.Context, string, hook.Facts) (hook.Admission, error) {
					err := c.answers[min(asked, len(c.answers)-1)]
					asked++
					return hook.Admission{}, err
				}, restartPatience)
				_, err := ask(t.Context(), "", hook.Facts{})
				if !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
				if c.asked != 0 && asked != c.asked {
					t.Errorf("asked %d times, want %d", asked, c.asked)
				}
				if took := time.Since(began); c.asked == 0 && (took < restartPatience || took > restartPatience+time.Second) {
					t.Errorf("waited for %v", took)
				}
			})
		})
	}
}

func TestWaitingForTheAgentEndsWithTheContainersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := patiently(func(context.Context, string, hook.Facts) (hook.Admission, error) {
			return hook.Admission{}, fault.ErrUnavailable
		}, restartPatience)(ctx, "", hook.Facts{})
		if !errors.Is(err, fault.ErrUnavailable) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
