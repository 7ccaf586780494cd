package ccgdouble

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// host is a System with one plugin.
type host struct {
	missing, broken error
	hr              int32
	plugin          Credentials
	input           string // what the plugin was asked with
	released        bool
}

func (h *host) FindClass(string) error          { return h.missing }
func (h *host) Activate(string) (Plugin, error) { return h, h.broken }
func (h *host) Release()                        { h.released = true }
func (h *host) GetPasswordCredentials(input string) (Credentials, int32, error) {
	h.input = input
	if h.hr < 0 {
		return Credentials{}, h.hr, errors.New("refused")
	}
	return h.plugin, h.hr, nil
}

const (
	domainPart = `{"DomainJoinConfig":{"DnsName":"contoso.invalid","NetBiosName":"CONTOSO"},"ActiveDirectoryConfig":{"GroupManagedServiceAccounts":[{"Name":"webapp01","Scope":"contoso.invalid"}]`
	joined     = domainPart + `}}`
	plugged    = domainPart + `,"HostAccountConfig":{"PortableCcgVersion":"1","PluginGUID":"{G}","PluginInput":"the input"}}}`
)

// unreachable has no domain controller that anybody could ask.
var unreachable = Config{Domains: map[string]directory.Config{"contoso.invalid": {Controllers: []string{"dc1.contoso.invalid=127.0.0.0"}}}}

func TestTheEventSaysHowFarItCame(t *testing.T) {
	const denied = -0x5ffbffde // 0xa0040022
	tests := map[string]struct {
		spec  string
		host  host
		event int
		error string
	}{
		"no document":         {`{`, host{}, EventSpecNotParsed, "parse the credential spec"},
		"no account":          {`{}`, host{}, EventSpecNotParsed, "names no domain"},
		"no plugin":           {joined, host{}, eventNone, ""},
		"unknown class":       {plugged, host{missing: errors.New("not in registry")}, EventPluginNotActivated, "not in registry"},
		"broken class":        {plugged, host{broken: errors.New("no such DLL")}, EventPluginNotActivated, "no such DLL"},
		"refused":             {plugged, host{hr: denied}, EventPluginFailed, "refused"},
		"no domain to ask of": {plugged, host{plugin: Credentials{Domain: "contoso.invalid", User: "u", Password: []byte("pw")}}, EventGMSAFetchFailed, "fetch the gMSA"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := Fetch(t.Context(), unreachable, &tt.host, []byte(tt.spec))
			if r.Event != tt.event || (tt.error == "") != (r.Error == "") || !strings.Contains(r.Error, tt.error) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestThePluginGetsItsInputAndIsReleased(t *testing.T) {
	h := &host{hr: -0x5ffbffde}
	r := Fetch(t.Context(), unreachable, h, []byte(plugged))
	if h.input != "the input" || !h.released || r.HResult != "0xa0040022" || r.PluginGUID != "{G}" {
		t.Errorf("%+v, %+v", h, r)
	}
}

func TestThePasswordIsWipedAndNotReported(t *testing.T) {
	password := []byte("correct horse")
	h := &host{plugin: Credentials{Domain: "contoso.invalid", User: "u", Password: password}}
	r := Fetch(t.Context(), unreachable, h, []byte(plugged))
	if string(password) != strings.Repeat("\x00", len(password)) {
		t.Error("the password is still there")
	}
	printed, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(printed), "horse") || r.User != "u" {
		t.Errorf("%s", printed)
	}
	if again, err := ParseReport(printed); err != nil || again.User != "u" || len(again.Steps) != len(r.Steps) {
		t.Errorf("ParseReport = %+v, %v", again, err)
	}
}
