package raw_test

import (
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/credspectest"
	"github.com/gmsa-agent/gmsa-agent/credspec/raw"
)

func TestSource(t *testing.T) {
	credspectest.Run(t, func(*testing.T) credspectest.Fixture {
		return credspectest.Fixture{
			Source: raw.Source{},
			Fixed:  true,
			Put: func(_ *testing.T, _ string, data []byte) credspec.Ref {
				return credspec.Ref{Scheme: raw.Scheme, Rest: string(data)}
			},
		}
	})
}
