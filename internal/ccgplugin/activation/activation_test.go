package activation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/internal/ccgplugin"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

func TestTheDocumentationHasEveryFailure(t *testing.T) {
	page, err := os.ReadFile("../../../docs/ccg-plugin.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Failures {
		row := fmt.Sprintf("| `0x%08X` | `%s` | %s | %s |", uint32(f.Code), f.Name, f.Meaning, f.Remedy)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/ccg-plugin.md has no row %s", row)
		}
		if _, ours := f.Code.Explain(); ours {
			t.Errorf("%s: is also a result of the plugin", f.Name)
		}
	}
}

func TestTheProbeIsNoGrantAndIsSent(t *testing.T) {
	if wire.ValidToken(Probe) || Probe == "" || len(Probe) > ccgplugin.MaxInput {
		t.Errorf("%q", Probe)
	}
}

func TestAFailureIsToldInWords(t *testing.T) {
	known := &Error{"activate the plugin", 0x80040154, "x"}
	if got := known.Error(); !strings.HasPrefix(got, "activate the plugin: 0x80040154: Class not registered") {
		t.Errorf("got %q", got)
	}
	unknown := &Error{"call the plugin", 0x80041234, "what Windows says"}
	if got := unknown.Error(); got != "call the plugin: 0x80041234: what Windows says" {
		t.Errorf("got %q", got)
	}
}

func TestElsewhereThereIsNoCOM(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is")
	}
	if _, err := Call(context.Background(), Probe); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
