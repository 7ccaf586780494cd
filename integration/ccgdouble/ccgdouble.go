// Package ccgdouble is a double of Container Credential Guard's ccg.exe.
//
// The program (subfolder ccg) gets a credential spec on its standard input, as
// the HCS double hands it over for a container, and does with it what Microsoft
// documents of CCG: it looks the plugin up among CCG's COM classes, activates it
// out of process, gets the plugin user's credentials from it, reads the gMSA's
// managed password as that user, and becomes the gMSA. That part is real: COM,
// the registry, LDAP and Kerberos are. What CCG would then do for the container
// is left out; in its place the program prints a [Report].
//
// The package reads credential specs by its own means, as CCG does, and not by
// the project's. No password is printed, logged or written.
package ccgdouble

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/directory"
)

// EnvConfig names the environment variable with the path of a file that holds a
// Config. Without one, domains are found through the system's DNS.
const EnvConfig = "CCGDOUBLE_CONFIG"

// Config says how domains are reached.
type Config struct {
	Domains map[string]directory.Config `json:"domains"` // by DNS name in lower case
}

// The events of the log Microsoft-Windows-Containers-CCG/Admin.
const (
	EventPluginInstantiated = 1
	EventCredentialsFetched = 2
	EventSpecNotParsed      = 3
	EventPluginNotActivated = 4
	EventPluginFailed       = 6
	EventGMSAFetchFailed    = 8
	eventNone               = 0
	stepParse               = "parse-credential-spec"
	stepFindClass           = "find-com-class"
	stepActivate            = "activate-plugin"
	stepGetCredentials      = "get-password-credentials"
)

// Report is what became of one credential spec.
type Report struct {
	Event      int       `json:"event"`                // CCG's event that fits the outcome; 0 where no plugin is involved
	PluginGUID string    `json:"pluginGuid,omitempty"` // empty: the document names no plugin, and nothing was fetched
	Account    string    `json:"account,omitempty"`    // the gMSA's name in the document
	HResult    string    `json:"hresult,omitempty"`    // what GetPasswordCredentials returned, "0x00000000"
	Domain     string    `json:"domain,omitempty"`     // of the plugin user, as the plugin said
	User       string    `json:"user,omitempty"`       // the plugin user
	Principal  string    `json:"principal,omitempty"`  // of the gMSA's ticket: "webapp01$@CONTOSO.COM"
	WhoAmI     string    `json:"whoAmI,omitempty"`     // what the domain controller says the gMSA is
	Expires    time.Time `json:"expires,omitzero"`     // of the gMSA's ticket
	Steps      []Step    `json:"steps,omitempty"`
	Error      string    `json:"error,omitempty"` // of the step that failed
}

// Step is one step that was tried.
type Step struct {
	Name   string  `json:"name"`
	Millis float64 `json:"ms"`
	Detail string  `json:"detail,omitempty"`
}

// ParseReport reads what the program printed.
func ParseReport(data []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return Report{}, fmt.Errorf("CCG double's report: %w", err)
	}
	return r, nil
}

// step runs do and notes how long it took.
func (r *Report) step(name string, do func() (detail string, err error)) error {
	start := time.Now()
	detail, err := do()
	r.Steps = append(r.Steps, Step{Name: name, Millis: millis(time.Since(start)), Detail: detail})
	return err
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// document is what CCG needs of a credential spec.
type document struct {
	DomainJoinConfig struct {
		DnsName     string //nolint:revive // the document's spelling
		NetBiosName string
	}
	ActiveDirectoryConfig struct {
		GroupManagedServiceAccounts []struct{ Name, Scope string }
		HostAccountConfig           *struct{ PortableCcgVersion, PluginGUID, PluginInput string }
	}
}

func parse(spec []byte) (*document, error) {
	var d document
	if err := json.Unmarshal(spec, &d); err != nil {
		return nil, err
	}
	if d.DomainJoinConfig.DnsName == "" || len(d.ActiveDirectoryConfig.GroupManagedServiceAccounts) == 0 {
		return nil, errors.New("the document names no domain or no group managed service account")
	}
	return &d, nil
}
