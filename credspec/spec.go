package credspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
)

// Spec is a credential spec, typed. The fields are named as Microsoft names
// them, and their forms are those that [Validate] wants; Parse does not insist.
//
// It is a view: to change a document that somebody else wrote, change its
// bytes ([SetHostAccountConfig]). A Spec prints as its domain and account.
type Spec struct {
	CmsPlugins            []string              // "ActiveDirectory"
	DomainJoinConfig      DomainJoinConfig      // the domain, and the default account
	ActiveDirectoryConfig ActiveDirectoryConfig // the accounts, and how to get at their passwords

	// Unknown are the members that have no field here, in the document's
	// order: extensions, or slips of the pen.
	Unknown []Field `json:"-"`
}

// DomainJoinConfig names the domain that the container belongs to.
type DomainJoinConfig struct {
	Sid                string // of the domain, not of an account: S-1-5-21-a-b-c
	MachineAccountName string // the default account, without domain and $
	Guid               string // objectGUID of the domain
	DnsTreeName        string // the forest's root domain: contoso.com
	DnsName            string // the domain: emea.contoso.com
	NetBiosName        string // the domain: EMEA
}

// ActiveDirectoryConfig names the accounts that the container may use.
type ActiveDirectoryConfig struct {
	GroupManagedServiceAccounts []Account
	HostAccountConfig           *HostAccountConfig `json:",omitempty"` // nil: the host's own account gets at them
}

// Account is a gMSA as one scope knows it.
type Account struct {
	Name  string // without domain and $
	Scope string // its domain: the DNS or the NetBIOS name
}

// HostAccountConfig says which CCG plugin has the account that may read the
// gMSA's password, for hosts that are not joined to the domain.
//
// It prints without its PluginInput, which can be as good as a password.
type HostAccountConfig struct {
	PortableCcgVersion string // "1"
	PluginGUID         string // the plugin's CLSID, in braces
	PluginInput        string // what the plugin is told; its own language
}

// Field is a member of a document that Spec has no field for.
type Field struct {
	Path string // JSON pointer
	JSON []byte // its value, as it stands in the document
}

// ParseError says why a document cannot be read, and where. It wraps
// fault.ErrMalformed and carries nothing of a PluginInput.
type ParseError struct {
	Path         string // JSON pointer; empty for the whole document
	Line, Column int    // from 1; columns count characters
	Message      string
}

func (e *ParseError) Error() string {
	place := fmt.Sprintf("line %d, column %d", e.Line, e.Column)
	if e.Path != "" {
		place += " (" + e.Path + ")"
	}
	return "credential spec: " + place + ": " + e.Message
}

func (e *ParseError) Unwrap() error { return fault.ErrMalformed }

// Parse reads a document. It refuses, with a [*ParseError], what is not JSON
// (RFC 8259, UTF-8), what is longer than MaxSize or nested deeper than 32,
// known members of another type than they should have, and everything that two
// readers could take differently (repeated members, known names in another
// case). A member that is missing is empty; [Validate] tells what a document
// lacks. A byte order mark is tolerated.
func Parse(data []byte) (*Spec, error) {
	r, err := read(data)
	if err != nil {
		return nil, err
	}
	return &r.spec, nil
}

// Encode writes a new document: the known members in Microsoft's order,
// the unknown ones at the end of the object that they belong to, indented.
func (s *Spec) Encode() ([]byte, error) {
	known := *s
	if known.CmsPlugins == nil {
		known.CmsPlugins = []string{}
	}
	if known.ActiveDirectoryConfig.GroupManagedServiceAccounts == nil {
		known.ActiveDirectoryConfig.GroupManagedServiceAccounts = []Account{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(known); err != nil {
		return nil, fmt.Errorf("encode credential spec: %w", err)
	}
	doc := b.Bytes()
	if len(s.Unknown) > 0 {
		root, err := jsontree.Parse(doc, limits)
		if err != nil {
			return nil, fmt.Errorf("encode credential spec: %w: %w", err, fault.ErrMalformed)
		}
		edits, err := restore(root, "", s.Unknown)
		if err != nil {
			return nil, err
		}
		doc = jsontree.Apply(doc, edits...)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, doc, "", "  "); err != nil {
		return nil, fmt.Errorf("encode credential spec: an unknown member is not JSON: %w", fault.ErrMalformed)
	}
	return out.Bytes(), nil
}

// restore returns the edits that put unknown members back below v.
func restore(v *jsontree.Value, path string, unknown []Field) ([]jsontree.Edit, error) {
	var edits []jsontree.Edit
	var pairs []jsontree.Pair
	for _, f := range unknown {
		if name, ok := jsontree.Child(path, f.Path); ok && v.Kind == jsontree.Object {
			pairs = append(pairs, jsontree.Pair{Name: name, Value: f.JSON})
		}
	}
	if len(pairs) > 0 {
		set, err := jsontree.Set(v, pairs...)
		if err != nil {
			return nil, fmt.Errorf("encode credential spec: %w: %w", err, fault.ErrMalformed)
		}
		edits = append(edits, set...)
	}
	for i := range v.Members {
		below, err := restore(&v.Members[i].Value, jsontree.Pointer(path, v.Members[i].Name), unknown)
		if err != nil {
			return nil, err
		}
		edits = append(edits, below...)
	}
	for i := range v.Elements {
		below, err := restore(&v.Elements[i], jsontree.PointerIndex(path, i), unknown)
		if err != nil {
			return nil, err
		}
		edits = append(edits, below...)
	}
	return edits, nil
}

// Format prints the domain and the default account.
func (s Spec) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, `credential spec of %s\%s`, s.DomainJoinConfig.DnsName, s.DomainJoinConfig.MachineAccountName)
}

// LogValue has what Format prints.
func (s Spec) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("domain", s.DomainJoinConfig.DnsName),
		slog.String("account", s.DomainJoinConfig.MachineAccountName),
	)
}

// Format prints which plugin is meant, and not what it is told.
func (h HostAccountConfig) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "plugin %s (version %s, input of %d bytes)", h.PluginGUID, h.PortableCcgVersion, len(h.PluginInput))
}

// LogValue has what Format prints.
func (h HostAccountConfig) LogValue() slog.Value {
	return slog.GroupValue(slog.String("plugin", h.PluginGUID), slog.Int("input_bytes", len(h.PluginInput)))
}

// Format prints which member is meant, and not its value.
func (u Field) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "%s (%d bytes)", u.Path, len(u.JSON))
}
