package ccgplugin

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// HRESULT is what GetPasswordCredentials returns. CCG writes it to its event
// log (events 6 and 8) and does nothing else with it, so the number has to say
// by itself what went wrong.
//
// Our own numbers have the customer bit (0x20000000), which keeps them out of
// the ranges that Microsoft gives away, in FACILITY_ITF. Once published, a
// number is never given another meaning.
type HRESULT uint32

// The results of GetPasswordCredentials. Table explains them.
const (
	OK           HRESULT = 0x00000000
	EPointer     HRESULT = 0x80004003
	EOutOfMemory HRESULT = 0x8007000E
	EUnexpected  HRESULT = 0x8000FFFF

	ENoInput       HRESULT = 0xA0040001
	EInputTooLong  HRESULT = 0xA0040002
	ENoAgent       HRESULT = 0xA0040010
	EPipeDenied    HRESULT = 0xA0040011
	EUntrusted     HRESULT = 0xA0040012
	ETimeout       HRESULT = 0xA0040013
	ECutOff        HRESULT = 0xA0040014
	EBadAnswer     HRESULT = 0xA0040015
	EReleases      HRESULT = 0xA0040016
	EMalformed     HRESULT = 0xA0040021
	EUnknownGrant  HRESULT = 0xA0040022
	EDenied        HRESULT = 0xA0040023
	EUnavailable   HRESULT = 0xA0040024
	EUnsupported   HRESULT = 0xA0040025
	EInternal      HRESULT = 0xA0040026
	ENotFound      HRESULT = 0xA0040027
	ERefusedOddly  HRESULT = 0xA0040028
	EBadCredential HRESULT = 0xA0040030
)

// Entry explains one result to an administrator.
type Entry struct {
	Code    HRESULT
	Name    string // as in C
	Meaning string
	Remedy  string
}

// Table has every result of GetPasswordCredentials, in the order of their
// numbers as the documentation has them. The C header and docs/ccg-plugin.md
// are compared with it by a test.
var Table = []Entry{
	{OK, "S_OK", "The credentials were released.", "None. The agent's audit has the release."},
	{EPointer, "E_POINTER", "The caller gave no place for a result.", "None on this host: it is the caller's fault, and CCG does not do it."},
	{EOutOfMemory, "E_OUTOFMEMORY", "The plugin host has no memory for the results.", "Free memory on the host."},
	{EUnexpected, "E_UNEXPECTED", "The plugin itself failed.", "Report it, with the version of the plugin."},
	{ENoInput, "GMSA_E_NO_INPUT", "The credential spec has no PluginInput.", "Let the agent admit the container: `gmsa-agent containers` says whether it did, and `gmsa-agent doctor` what keeps it from seeing containers."},
	{EInputTooLong, "GMSA_E_INPUT_TOO_LONG", "The PluginInput is longer than anything that the agent could have written.", "As for GMSA_E_NO_INPUT."},
	{ENoAgent, "GMSA_E_NO_AGENT", "Nobody serves the plugin channel.", "Start the agent: `gmsa-agent service start`."},
	{EPipeDenied, "GMSA_E_PIPE_DENIED", "The plugin host's account may not open the plugin channel.", "See docs/attack-surface.md for the accounts that may; `tasklist /v /fi \"imagename eq ccg.exe\"`, elevated, shows the one that CCG runs as."},
	{EUntrusted, "GMSA_E_SERVER_UNTRUSTED", "Whoever serves the plugin channel is not the agent. Nothing was sent.", "Find out who took the pipe's name; `gmsa-agent doctor` names the process."},
	{ETimeout, "GMSA_E_TIMEOUT", "The agent did not answer in time.", "See `gmsa-agent status` for a store that is slow, then start the container again."},
	{ECutOff, "GMSA_E_CUT_OFF", "The agent ended in the middle of the exchange.", "Start the container again; grants survive an agent that ends. If it recurs, see the agent's log."},
	{EBadAnswer, "GMSA_E_BAD_ANSWER", "The agent's answer is not one.", "Install agent and plugin of the same release; else report it."},
	{EReleases, "GMSA_E_RELEASES_DIFFER", "Agent and plugin speak different versions of the protocol.", "Install agent and plugin of the same release."},
	{EMalformed, "GMSA_E_NOT_A_GRANT", "The PluginInput is not a grant token: the document that HCS was given is not the one that the agent admitted.", "Let the agent admit the container: `gmsa-agent doctor` says whether the shim wrapper was seen at work."},
	{EUnknownGrant, "GMSA_E_UNKNOWN_GRANT", "The grant is not live: its container has ended, or another host's agent made it.", "Start the container anew; do not copy documents between containers or hosts."},
	{EDenied, "GMSA_E_DENIED", "The agent's policy, or its check of the plugin host, does not allow it.", "`gmsa-agent audit` has the refusal and the reason."},
	{EUnavailable, "GMSA_E_STORE_UNAVAILABLE", "The secret's store could not be asked.", "`gmsa-agent status` has the store's last error; `gmsa-agent secret check REF` tries it."},
	{EUnsupported, "GMSA_E_UNSUPPORTED", "The agent cannot do this on this host.", "`gmsa-agent audit` has the reason."},
	{EInternal, "GMSA_E_AGENT_FAILED", "The agent itself failed.", "See the agent's log."},
	{ENotFound, "GMSA_E_SECRET_NOT_FOUND", "The store has no such secret.", "`gmsa-agent containers inspect ID` names the reference; put the secret there, or correct the reference."},
	{ERefusedOddly, "GMSA_E_REFUSED", "The agent refused for a reason that this plugin does not know.", "Install agent and plugin of the same release; `gmsa-agent audit` has the reason."},
	{EBadCredential, "GMSA_E_BAD_CREDENTIAL", "The credentials could not be handed to CCG.", "Report it; `gmsa-agent secret check REF` shows what the secret holds, but for the password."},
}

// String is the entry's name and the number.
func (h HRESULT) String() string {
	if e, ok := h.Explain(); ok {
		return fmt.Sprintf("%s (0x%08X)", e.Name, uint32(h))
	}
	return fmt.Sprintf("0x%08X", uint32(h))
}

// Explain finds the result's entry.
func (h HRESULT) Explain() (Entry, bool) {
	for _, e := range Table {
		if e.Code == h {
			return e, true
		}
	}
	return Entry{}, false
}

// refusals are the results for the agent's refusals.
var refusals = map[wire.Code]HRESULT{
	wire.CodeMalformed:    EMalformed,
	wire.CodeUnknownGrant: EUnknownGrant,
	wire.CodeDenied:       EDenied,
	wire.CodeUnavailable:  EUnavailable,
	wire.CodeUnsupported:  EUnsupported,
	wire.CodeInternal:     EInternal,
	wire.CodeNotFound:     ENotFound,
}

// dialResult is the result for an error of the dialling.
func dialResult(err error) HRESULT {
	switch {
	case isTimeout(err):
		return ETimeout
	case isA[*channel.UntrustedServerError](err):
		return EUntrusted
	case errors.Is(err, fault.ErrDenied):
		return EPipeDenied
	}
	return ENoAgent
}

// askResult is the result for an error of the exchange.
func askResult(err error) HRESULT {
	if refusal, ok := errors.AsType[*wire.Refusal](err); ok {
		if result, ok := refusals[refusal.Code]; ok {
			return result
		}
		return ERefusedOddly
	}
	switch {
	case isTimeout(err):
		return ETimeout
	case isA[*wire.VersionError](err):
		return EReleases
	case isA[*wire.Error](err):
		return EBadAnswer
	}
	return ECutOff
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
