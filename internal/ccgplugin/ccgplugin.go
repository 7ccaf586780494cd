// Package ccgplugin is what the CCG plugin DLL does, without COM: it exchanges
// a grant token for credentials at the agent, turns every failure into an
// HRESULT of one table, lays the credentials out as COM wants them, and knows
// the registry entries by which CCG finds the DLL.
//
// It is portable but for the registry itself, so that it is tested without
// Windows, and apart from the DLL, so that the command line can register the
// DLL and explain its results without loading it (one process cannot hold two
// Go runtimes on Windows).
//
// The package refuses to know secrets' stores, policy and configuration: it
// can dial the plugin channel and redeem, and has no other power.
package ccgplugin

// CLSID is the plugin's class, and its AppID. It stands as PluginGUID in the
// credential specs that the agent admits. It has no relation to [IID].
const CLSID = "{EF7D2B85-2E68-4AB9-A283-DC42D15AF0D4}"

// IID is ICcgDomainAuthCredentials, the interface that CCG asks of every
// plugin; it is Microsoft's.
//
// https://learn.microsoft.com/windows/win32/api/ccgplugins/nn-ccgplugins-iccgdomainauthcredentials
const IID = "{6ECDA518-2010-4437-8BC3-46E752B7B172}"
