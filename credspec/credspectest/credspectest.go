// Package credspectest is the suite that every credential spec source has to
// pass: [Run] holds a source to the contract of credspec.Source.
package credspectest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Document is a credential spec without a fault, two ways of which are in the
// world: New-CredentialSpec's, and this, with a plugin.
const Document = `{
  "CmsPlugins": ["ActiveDirectory"],
  "DomainJoinConfig": {
    "Sid": "S-1-5-21-2126449477-2524075714-3094792973",
    "MachineAccountName": "webapp01",
    "Guid": "244818ae-87ac-4fcd-92ec-e79e5252348a",
    "DnsTreeName": "contoso.com",
    "DnsName": "contoso.com",
    "NetBiosName": "CONTOSO"
  },
  "ActiveDirectoryConfig": {
    "GroupManagedServiceAccounts": [
      {"Name": "webapp01", "Scope": "contoso.com"},
      {"Name": "webapp01", "Scope": "CONTOSO"}
    ],
    "HostAccountConfig": {
      "PortableCcgVersion": "1",
      "PluginGUID": "{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}",
      "PluginInput": "local://contoso"
    }
  }
}
`

// canary stands in the documents of the suite and must not be in any error.
const canary = "canary-b7e1f2"

// Fixture is a source to be tested, with what the suite needs to do to it.
type Fixture struct {
	Source credspec.Source
	// Put stores a document and returns its reference. Storing under a name
	// again replaces the document. It must take documents over the size limit.
	Put func(t *testing.T, name string, data []byte) credspec.Ref
	// Missing is a reference to nothing; the zero Ref where there is no such
	// thing.
	Missing credspec.Ref
	// Fixed says that a reference always means the same bytes, because it
	// holds them.
	Fixed bool
	// Canonical returns what the source makes of a document that was stored,
	// and false for one that it cannot store as it is: for a source that keeps
	// values and not bytes. Nil for one that keeps bytes. Put must take
	// [Document], an empty object and a long document whatever it says.
	Canonical func(data []byte) (want []byte, ok bool)
}

// want is what the source returns for a document that was stored.
func (fx Fixture) want(data string) (string, bool) {
	if fx.Canonical == nil {
		return data, true
	}
	want, ok := fx.Canonical([]byte(data))
	return string(want), ok
}

// Run runs the suite, with a new fixture for each part.
func Run(t *testing.T, make func(t *testing.T) Fixture) {
	t.Run("returns what was stored and says where it is from", func(t *testing.T) {
		fx := make(t)
		for name, data := range map[string]string{
			"plain": Document, "bom": "\ufeff" + Document, "crlf": strings.ReplaceAll(Document, "\n", "\r\n"),
			"not-json": "no JSON, not the source's business", "wide": `{"x":"ü€😀"}`,
		} {
			want, ok := fx.want(data)
			if !ok {
				continue
			}
			ref := fx.Put(t, name, []byte(data))
			doc, err := fx.Source.Resolve(t.Context(), ref)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if string(doc.Data) != want {
				t.Errorf("%s: got %d other bytes, want %d", name, len(doc.Data), len(want))
			}
			if doc.Origin == "" {
				t.Errorf("%s: the document has no origin", name)
			}
		}
	})
	t.Run("gives each caller bytes of its own", func(t *testing.T) {
		fx := make(t)
		want, _ := fx.want(Document)
		ref := fx.Put(t, "own", []byte(Document))
		first, err := fx.Source.Resolve(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		clear(first.Data)
		second, err := fx.Source.Resolve(t.Context(), ref)
		if err != nil || string(second.Data) != want {
			t.Errorf("what one caller did to its document is in the next one's (error %v)", err)
		}
	})
	t.Run("returns what is there now", func(t *testing.T) {
		fx := make(t)
		if fx.Fixed {
			t.Skip("a reference holds its document")
		}
		for _, data := range []string{Document, Document + "\n\n", `{}`} {
			want, ok := fx.want(data)
			if !ok {
				continue
			}
			doc, err := fx.Source.Resolve(t.Context(), fx.Put(t, "changing", []byte(data)))
			if err != nil || string(doc.Data) != want {
				t.Errorf("got %d bytes, %v, want the %d that were stored last", len(doc.Data), err, len(want))
			}
		}
	})
	t.Run("says what is missing", func(t *testing.T) {
		fx := make(t)
		if fx.Missing == (credspec.Ref{}) {
			t.Skip("nothing can be missing")
		}
		_, err := mux(fx, fx.Missing).Resolve(t.Context(), fx.Missing)
		if !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("error %v, want fault.ErrNotFound", err)
		}
		if err != nil && !strings.Contains(err.Error(), fx.Missing.String()) {
			t.Errorf("error %q does not name the reference %v", err, fx.Missing)
		}
	})
	t.Run("refuses a document that is too long", func(t *testing.T) {
		fx := make(t)
		data := bytes.Repeat([]byte(canary+" "), credspec.MaxSize/len(canary))
		ref := fx.Put(t, "long", data)
		_, err := mux(fx, ref).Resolve(t.Context(), ref)
		if !errors.Is(err, fault.ErrMalformed) {
			t.Errorf("error %v, want fault.ErrMalformed", err)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Error("the error repeats the document")
		}
	})
	t.Run("stops when its context does", func(t *testing.T) {
		fx := make(t)
		ref := fx.Put(t, "canceled", []byte(Document))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := fx.Source.Resolve(ctx, ref); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
	t.Run("serves many at once", func(t *testing.T) {
		fx := make(t)
		want, _ := fx.want(Document)
		ref := fx.Put(t, "many", []byte(Document))
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if doc, err := fx.Source.Resolve(t.Context(), ref); err != nil || string(doc.Data) != want {
					t.Errorf("%d bytes, %v", len(doc.Data), err)
				}
			})
		}
		wg.Wait()
	})
	t.Run("obeys a pin", func(t *testing.T) {
		fx := make(t)
		want, _ := fx.want(Document)
		ref := fx.Put(t, "pinned", []byte(Document))
		ref.SHA256 = credspec.Digest([]byte(want))
		if _, err := mux(fx, ref).Resolve(t.Context(), ref); err != nil {
			t.Errorf("with the right pin: %v", err)
		}
		ref.SHA256 = credspec.Digest([]byte("another"))
		if _, err := mux(fx, ref).Resolve(t.Context(), ref); !errors.Is(err, fault.ErrDenied) {
			t.Errorf("with another pin: error %v, want fault.ErrDenied", err)
		}
	})
}

func mux(fx Fixture, ref credspec.Ref) *credspec.Mux {
	return credspec.NewMux(map[string]credspec.Source{ref.Scheme: fx.Source})
}
