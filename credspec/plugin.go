package credspec

import "strings"

// PluginGUID is the CLSID of this project's CCG plugin, as a document has it.
const PluginGUID = "{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}"

// PortableCcgVersion is the only version of HostAccountConfig that there is.
const PortableCcgVersion = "1"

// knownPlugins are the plugins that exist, by the CLSIDs in their projects'
// sources (Rancher, Azure) and in the ECS agent's, which knows its vendor's.
var knownPlugins = map[string]string{
	"EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4": "gmsa-agent",
	"E4781092-F116-4B79-B55E-28EB6A224E26": "Rancher",
	"CCC2A336-D7F3-4818-A213-272B7924213E": "Azure Key Vault",
	"859E1386-BDB4-49E8-85C7-3070B13920E1": "Amazon ECS",
}

const (
	// sampleGUID is the CLSID in the documentation of ICcgDomainAuthCredentials,
	// of a plugin whose input is domain:user:password.
	sampleGUID = "CFCA0441-511D-4B2A-862E-20348A78760B"
	// unreadableExample is what "Create gMSAs for Windows containers" shows as
	// a CLSID; Amazon's documentation has it from there.
	unreadableExample = "GDMA0342-266A-4D1P-831J-20990E82944F"
)

// grantPrefix begins the grant tokens that the agent puts into the documents
// that it admits.
const grantPrefix = "gmsa1."

// KnownPlugin names the plugin that a CLSID belongs to: "gmsa-agent",
// "Rancher", "Azure Key Vault" or "Amazon ECS". Case does not count, nor do
// braces.
func KnownPlugin(guid string) (name string, ok bool) {
	name, ok = knownPlugins[canonicalGUID(guid)]
	return name, ok
}

func canonicalGUID(s string) string {
	inner, _ := unbrace(s)
	return strings.ToUpper(inner)
}

// Plugin is what a host knows of a CCG plugin.
type Plugin struct {
	GUID string // its CLSID; case does not count, nor do braces
	// Served says that the agent serves the documents that name it: it is the
	// agent's own, or one that the agent adopts.
	Served bool
	// Input says what is wrong with a PluginInput for it, without repeating the
	// input; nil takes every input.
	Input func(input string) error
}

// Option changes what [Validate] knows.
type Option func(*reader)

// WithPlugins has Validate judge the HostAccountConfig by the plugins of a
// host. An input that a served plugin does not understand is an error, for any
// other plugin a warning.
func WithPlugins(plugins ...Plugin) Option {
	return func(r *reader) {
		for _, p := range plugins {
			if r.plugins == nil {
				r.plugins = make(map[string]Plugin)
			}
			r.plugins[canonicalGUID(p.GUID)] = p
		}
	}
}

// InManifest says that the document stands in a Kubernetes manifest: the API
// server drops members that are not known.
func InManifest() Option {
	return func(r *reader) { r.manifest = true }
}
