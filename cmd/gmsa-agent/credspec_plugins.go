package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/config"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// dialect is the language of another project's plugin.
type dialect struct {
	guid    string
	form    string
	begins  string   // as the plugin wants it
	schemes []string // what a secret reference in it is of
}

var dialects = []dialect{
	{"{E4781092-F116-4B79-B55E-28EB6A224E26}", "NAMESPACE:SECRET", "", []string{"kubernetes"}},
	{"{CCC2A336-D7F3-4818-A213-272B7924213E}", "ObjectId=GUID;SecretUri=https://HOST/secrets/NAME", "", []string{"azurekeyvault"}},
	{"{859E1386-BDB4-49E8-85C7-3070B13920E1}", `{"credentialArn":"ARN"}`, "{", []string{"awssecretsmanager", "awsssm"}},
}

// hostPlugins are the CCG plugins as this host has them: those whose documents
// the agent serves, with inputs that name secrets, and those that it leaves
// documents to.
func hostPlugins(cfg *config.Config) []credspec.Plugin {
	var plugins []credspec.Plugin
	for _, d := range dialects {
		plugins = append(plugins, credspec.Plugin{GUID: d.guid, Input: d.check})
	}
	for _, guid := range append([]string{credspec.PluginGUID}, cfg.Adopt...) {
		plugins = append(plugins, credspec.Plugin{GUID: guid, Served: true, Input: isSecretRef})
	}
	return plugins
}

func isSecretRef(input string) error {
	_, err := secrets.ParseRef(input)
	if err == nil {
		return nil
	}
	// That it is malformed, and where, is said already.
	text := err.Error()
	if _, why, found := strings.Cut(text, fault.ErrMalformed.Error()+": "); found {
		text = why
	}
	return errors.New(text)
}

// check says what is wrong with an input. A reference with a scheme is ours and
// not the plugin's.
func (d dialect) check(input string) error {
	input = strings.TrimSpace(input)
	ref, err := secrets.ParseRef(input)
	if err != nil || !strings.HasPrefix(input, d.begins) || !slices.Contains(d.schemes, ref.Scheme) || strings.HasPrefix(strings.ToLower(input), ref.Scheme+"://") {
		return errors.New("its inputs are " + d.form)
	}
	return nil
}
