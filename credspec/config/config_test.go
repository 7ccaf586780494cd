package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/config"
)

func TestSourceSaysWhoCanReadASwarmConfig(t *testing.T) {
	_, err := config.Source{}.Resolve(t.Context(), credspec.Ref{Scheme: config.Scheme, Rest: "g8fblg9vvhrd9b6ybjt2mrp4v"})
	if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "dockerd only") {
		t.Errorf("error %v", err)
	}
}
