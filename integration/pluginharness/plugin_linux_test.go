package pluginharness

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/integration/pluginharness/script"
	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

// ways are how the plugin is activated. CCG's is local: out of the process, in
// dllhost.exe.
var ways = []string{"inproc", "local"}

func TestARedemptionBringsTheCredentials(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			token := script.Token(script.Release)
			want := script.Answer(token)
			got := h.run(t, way, "call", token)
			if got["result"] != result(ccgplugin.OK) || got["domain"] != want.Domain || got["user"] != want.User || got["password"] != string(want.Password) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestTheLargestReleaseArrivesWhole(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	got := h.run(t, "inproc", "call", script.Token(script.Largest))
	if got["domain"] != strings.Repeat("d", wire.MaxDomain) || got["user"] != strings.Repeat("u", wire.MaxUser) || got["password"] != strings.Repeat("ü", wire.MaxPassword/2) {
		t.Errorf("got %s, lengths %d, %d and %d", got["result"], len(got["domain"]), len(got["user"]), len(got["password"]))
	}
}

// refused are all scripts that end without credentials, with their results.
func refused() map[string]ccgplugin.HRESULT {
	all := map[string]ccgplugin.HRESULT{
		script.CutOff:     ccgplugin.ECutOff,
		script.CutWithin:  ccgplugin.ECutOff,
		script.NotAFrame:  ccgplugin.EBadAnswer,
		script.Huge:       ccgplugin.EBadAnswer,
		script.Trailing:   ccgplugin.EBadAnswer,
		script.NoPassword: ccgplugin.EBadAnswer,
		script.ANUL:       ccgplugin.EBadAnswer,
		script.NotText:    ccgplugin.EBadAnswer,
		script.Version:    ccgplugin.EReleases,
	}
	for code, want := range map[wire.Code]ccgplugin.HRESULT{
		wire.CodeMalformed: ccgplugin.EMalformed, wire.CodeUnknownGrant: ccgplugin.EUnknownGrant,
		wire.CodeDenied: ccgplugin.EDenied, wire.CodeUnavailable: ccgplugin.EUnavailable,
		wire.CodeUnsupported: ccgplugin.EUnsupported, wire.CodeInternal: ccgplugin.EInternal,
		wire.CodeNotFound: ccgplugin.ENotFound, 9999: ccgplugin.ERefusedOddly,
	} {
		all[script.Refuse+strconv.Itoa(int(code))] = want
	}
	return all
}

func TestEveryRefusalAndEveryBadAnswerHasItsResult(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	for line, want := range refused() {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			h.run(t, "inproc", "call", script.Token(line)).wantRefusal(t, want)
		})
	}
}

func TestARefusalPassesThroughThePluginHost(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	h.run(t, "local", "call", script.Token(script.Refuse+"2")).wantRefusal(t, ccgplugin.EUnknownGrant)
}

func TestAnAgentThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	h.run(t, "inproc", "call", script.Token(script.Hang)).wantRefusal(t, ccgplugin.ETimeout)
}

func TestAnInputThatIsNoGrantIsRefused(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	t.Run("NULL", func(t *testing.T) {
		for _, way := range ways {
			h.run(t, way, "null").wantRefusal(t, ccgplugin.ENoInput)
		}
	})
	t.Run("empty", func(t *testing.T) { h.run(t, "inproc", "call", "").wantRefusal(t, ccgplugin.ENoInput) })
	t.Run("the longest", func(t *testing.T) {
		h.run(t, "inproc", "long", strconv.Itoa(ccgplugin.MaxInput)).wantRefusal(t, ccgplugin.EMalformed)
	})
	t.Run("too long", func(t *testing.T) {
		h.run(t, "inproc", "long", strconv.Itoa(ccgplugin.MaxInput+1)).wantRefusal(t, ccgplugin.EInputTooLong)
	})
	t.Run("far too long", func(t *testing.T) {
		h.run(t, "inproc", "long", "10000000").wantRefusal(t, ccgplugin.EInputTooLong)
	})
	t.Run("short in UTF-16 and too long in UTF-8", func(t *testing.T) {
		h.run(t, "inproc", "call", strings.Repeat("€", ccgplugin.MaxInput)).wantRefusal(t, ccgplugin.EInputTooLong)
	})
	t.Run("another plugin's", func(t *testing.T) {
		h.run(t, "inproc", "call", "ObjectId=1;SecretUri=https://kv.vault.azure.net/secrets/x").wantRefusal(t, ccgplugin.EMalformed)
	})
}

func TestAMissingPlaceForAResultIsRefusedAndTheOthersAreNulled(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	got := h.run(t, "inproc", "pointers", script.Token(script.Release))
	for missing := 1; missing < 8; missing++ {
		if got := got[fmt.Sprintf("missing-%d", missing)]; got != result(ccgplugin.EPointer)+" left 0" {
			t.Errorf("places %03b missing: got %s", missing, got)
		}
	}
}

func TestTheClassKeepsCOMsRules(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	got := h.run(t, "inproc", "com")
	for name, want := range map[string]string{
		"foreign-interface": "0x80004002 left 0", // E_NOINTERFACE
		"no-place":          "0x80004003",        // E_POINTER
		"identity":          "1",
		"references":        "3",
		"aggregation":       "0x80040110 left 0", // CLASS_E_NOAGGREGATION
		"foreign-instance":  "0x80004002 left 0",
		"lock":              "0x00000000",
		"unlock":            "0x00000000",
		"can-unload":        "0x00000001",        // S_FALSE
		"foreign-class":     "0x80040111 left 0", // CLASS_E_CLASSNOTAVAILABLE
	} {
		if got[name] != want {
			t.Errorf("%s: got %s, want %s", name, got[name], want)
		}
	}
}

func TestAFailedAllocationLeavesNothing(t *testing.T) {
	t.Parallel()
	h := sharedHost(t)
	got := h.run(t, "inproc", "allocations", script.Token(script.Release))
	before := got["held"] // after everything was given back
	for nth := 1; nth <= 3; nth++ {
		want := result(ccgplugin.EOutOfMemory) + " left 0 held " + before
		if got := got[fmt.Sprintf("allocation-%d", nth)]; got != want {
			t.Errorf("allocation %d: got %s, want %s", nth, got, want)
		}
	}
	if !strings.HasPrefix(got["allocation-4"], result(ccgplugin.OK)) {
		t.Errorf("the call takes other than three allocations: %v", got)
	}
}

func TestWithoutAnAgent(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.run(t, "inproc", "call", script.Token(script.Release)).wantRefusal(t, ccgplugin.ENoAgent)
}

func TestTheAgentsDefaultsRefuseWhoIsNotThePluginHost(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := h.serve(t.Context(), "default"); err != nil {
		t.Fatal(err)
	}
	h.run(t, "inproc", "call", script.Token(script.Release)).wantRefusal(t, ccgplugin.EDenied)
	h.serverSays(t, `harness.exe) of S-1-5-21-`)
}

func TestNothingIsSentToWhoSatOnThePipesName(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	if err := h.serve(t.Context(), "squat"); err != nil {
		t.Fatal(err)
	}
	h.run(t, "inproc", "call", script.Token(script.Release)).wantRefusal(t, ccgplugin.EUntrusted)
}
