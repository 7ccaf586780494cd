package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/credspec/sources"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
)

// Package config must not know the sources, so it has its own words for this.
func TestTheConfigurationShowsTheFoldersThatTheSourcesWouldChoose(t *testing.T) {
	if diff := cmp.Diff(sources.DefaultFolders(), config.Default().CredentialSpecs.Folders); diff != "" {
		t.Error(diff)
	}
}
