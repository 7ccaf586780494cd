package main

import (
	"context"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/registrylab"
)

// TestRegistryScripts runs the scripts that need a registry.
func TestRegistryScripts(t *testing.T) {
	if err := registrylab.Ready(); err != nil {
		t.Skip(err)
	}
	// The scripts are parallel subtests: they end after this function.
	l, err := registrylab.Start(context.Background(), registrylab.Options{Report: lab.Report(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	params := scripts("testdata/registry")
	setup := params.Setup
	params.Setup = func(env *testscript.Env) error {
		env.Setenv("REGISTRY", l.Host)
		env.Setenv("CA_FILE", l.CAFile)
		env.Setenv("USERNAME", l.Username)
		env.Setenv("PASSWORD_FILE", l.PasswordFile)
		return setup(env)
	}
	testscript.Run(t, params)
}
