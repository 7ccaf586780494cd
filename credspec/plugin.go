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

// KnownPlugin names the plugin that a CLSID belongs to: "gmsa-agent",
// "Rancher", "Azure Key Vault" or "Amazon ECS". Case does not count, nor do
// braces.
func KnownPlugin(guid string) (name string, ok bool) {
	inner, _ := unbrace(guid)
	name, ok = knownPlugins[strings.ToUpper(inner)]
	return name, ok
}
