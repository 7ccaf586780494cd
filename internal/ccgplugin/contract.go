package ccgplugin

import (
	"bytes"
	"fmt"
	"strings"
)

// The keys of the registration, below HKEY_LOCAL_MACHINE.
const (
	keyClass  = `SOFTWARE\Classes\CLSID\` + CLSID
	keyServer = keyClass + `\InprocServer32`
	keyApp    = `SOFTWARE\Classes\AppID\` + CLSID
	// keyAllowed is by what CCG accepts a plugin at all.
	keyAllowed = keyCCG + `\COMClasses\` + CLSID
	keyCCG     = `SYSTEM\CurrentControlSet\Control\CCG`

	// Windows has these by its feature Containers.
	keyInterface  = `SOFTWARE\Classes\Interface\` + IID
	keyMarshaller = keyInterface + `\ProxyStubClsid32`
)

const description = "gmsa-agent plugin for Container Credential Guard"

// callRights are COM_RIGHTS_EXECUTE, COM_RIGHTS_EXECUTE_LOCAL and
// COM_RIGHTS_ACTIVATE_LOCAL: nobody from another machine.
//
// https://learn.microsoft.com/windows/win32/com/access-control-lists-for-com
const callRights = 0x1 | 0x2 | 0x8

// callers is who may have COM launch the plugin's host and call into it.
//
// There is no RunAs beside it, so the host runs as whoever activates it: CCG
// gets a host of CCG's account, which the agent serves, and an administrator's
// `gmsa-agent plugin call` gets one of the administrator's, which it refuses.
// An account of the registration's own would make every service that may
// activate the class an equal of CCG's.
var callers = descriptor{owner: sidAdministrators, list: []access{
	{aceAllow, 0, callRights, sidSystem},         // CCG, if it runs as SYSTEM
	{aceAllow, 0, callRights, sidService},        // CCG, if it runs as a service's account: Microsoft's own plugin has these two
	{aceAllow, 0, callRights, sidAdministrators}, // who test the registration with `gmsa-agent plugin call`
}}

// What CCG writes to its log, Microsoft-Windows-Containers-CCG/Admin, and what
// the Host Compute Service makes of it: event 11507 of Hyper-V-Compute-Admin,
// and "the RPC server is unavailable" in the container runtime.
const (
	notInstantiated = "CCG event 4: failed to instantiate the plug-in; "
	notFetched      = "CCG event 6: failed to fetch credentials from the plug-in; "

	noClass  = "Class not registered (0x80040154)"
	noAccess = "Access is denied (0x80070005)"
)

// entry is one value of the registration.
type entry struct {
	key, name string // an empty name is the key's default value
	value     Value
	// equal compares what is there with value; nil: bytes.
	equal func(got Value) bool
	// differs says what is wrong about a value of the right type; nil: what
	// the texts are.
	differs func(got Value) string
	// missing and other are what Windows shows if it is not there, or not so.
	missing, other string
	// cosmetic is what nobody but people reads.
	cosmetic bool
}

// entries are all values of the registration of the DLL at path. A key comes
// before its subkeys. What makes CCG take the plugin comes last, so that it
// never sees half a registration.
func entries(path string) []entry {
	const named = "none for CCG: it is what people see of the class"
	permission := func(name, missing string) entry {
		return entry{
			key: keyApp, name: name, value: Value{regBinary, callers.bytes()},
			equal: func(got Value) bool {
				d, err := readDescriptor(got.Data)
				return err == nil && d.sameAccess(callers)
			},
			differs: func(got Value) string {
				d, err := readDescriptor(got.Data)
				if err != nil {
					return "is no security descriptor"
				}
				return d.differs(callers)
			},
			missing: missing,
			other:   notInstantiated + noAccess + ", if CCG's account is no longer allowed; whoever is allowed too can have the plugin redeem a grant token",
		}
	}
	return []entry{
		{key: keyApp, value: text(description), missing: named, other: named, cosmetic: true},
		{
			key: keyApp, name: "DllSurrogate", value: text(""), // the system's own, dllhost.exe
			missing: notInstantiated + noClass + ": no program is said to host the DLL",
			other:   notFetched + EDenied.String() + ": another program than dllhost.exe hosts the DLL, and the agent serves dllhost.exe alone",
		},
		permission("AccessPermission", notFetched+noAccess+", where the host's default access permissions do not allow CCG's account"),
		permission("LaunchPermission", notInstantiated+noAccess+", where the host's default launch permissions do not allow CCG's account; DistributedCOM event 10016"),
		{key: keyClass, value: text(description), missing: named, other: named, cosmetic: true},
		{
			key: keyClass, name: "AppID", value: text(CLSID),
			equal:   func(got Value) bool { return strings.EqualFold(got.text(), CLSID) },
			missing: notInstantiated + noClass + ": without its AppID the class has no host of its own",
			other:   notInstantiated + noClass + ", or another application's host and permissions are used",
		},
		{
			key: keyServer, value: text(path),
			equal: func(got Value) bool { return isAbsolute(path) && strings.EqualFold(got.text(), path) },
			differs: func(got Value) string {
				if !isAbsolute(got.text()) {
					return "is " + quoted(got.text()) + ", which is no absolute path"
				}
				return fmt.Sprintf("is %s, not %s", quoted(got.text()), quoted(path))
			},
			missing: notInstantiated + noClass + ": no DLL is named",
			other:   "containers are served by the DLL that is named, which may be of another release, or " + notInstantiated + "The specified module could not be found (0x8007007E)",
		},
		{
			key: keyServer, name: "ThreadingModel", value: text("Both"),
			equal:   func(got Value) bool { return strings.EqualFold(got.text(), "Both") },
			missing: "containers get their credentials one after another: one slow store delays the start of all",
			other:   "containers get their credentials one after another: one slow store delays the start of all",
		},
		{
			key: keyAllowed, value: text(""),
			missing: "none known: CCG looks for the key; the registration writes the value so that the key is seen to be whole",
			other:   "none known: CCG looks for the key", cosmetic: true,
		},
	}
}

// keyMissing is what Windows shows where a whole key of the registration is
// not there.
var keyMissing = map[string]string{
	keyApp:     notInstantiated + noClass + ": without its AppID's key the class has no host of its own",
	keyClass:   notInstantiated + noClass,
	keyServer:  notInstantiated + noClass + ": no DLL is named",
	keyAllowed: notInstantiated + "Object was not found in registry",
}

// same says whether got is what the entry wants.
func (e entry) same(got Value) bool {
	if got.Type != e.value.Type {
		return false
	}
	if e.equal != nil {
		return e.equal(got)
	}
	return bytes.Equal(got.Data, e.value.Data)
}

// problem says how got is not what the entry wants.
func (e entry) problem(got Value) string {
	if got.Type != e.value.Type {
		return fmt.Sprintf("is %s, not %s", typeName(got.Type), typeName(e.value.Type))
	}
	if e.differs != nil {
		return e.differs(got)
	}
	return fmt.Sprintf("is %s, not %s", quoted(got.text()), quoted(e.value.text()))
}

func typeName(t uint32) string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("a value of type %d", t)
}

// quoted is text of the registry in a message: bounded, and without anything
// that a terminal would obey.
func quoted(s string) string {
	const most = 300
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	// Backslashes are a path's, and stay single.
	return strings.ReplaceAll(fmt.Sprintf("%q", s), `\\`, `\`)
}

// An obstacle is what must not be beside the registration. All of them carry
// the class's own number, so that they are nobody else's.
type obstacle struct {
	key string
	// name is a value's; empty: the whole key, with all that is below.
	name   string
	whole  bool
	why    string
	effect string
}

var obstacles = []obstacle{
	{
		key: keyApp, name: "RunAs", why: "the plugin's host is to run as whoever activates it, which is CCG",
		effect: notInstantiated + "The server process could not be started because the configured identity is incorrect (0x8000401A): \"Interactive User\" works while somebody is logged on, and an account's stored password ends with its next change",
	},
	{
		key: keyApp, name: "LocalService", why: "it makes COM start a service instead of the DLL's host",
		effect: notInstantiated + "The specified service does not exist (0x80070424)",
	},
	{
		key: keyApp, name: "RemoteServerName", why: "it makes COM look for the class on another host",
		effect: notInstantiated + "The RPC server is unavailable (0x800706BA)",
	},
	{
		key: keyApp, name: "PreferredServerBitness", why: "it can choose a 32-bit host, and the DLL has 64",
		effect: notInstantiated + noClass,
	},
	{
		key: keyClass + `\LocalServer32`, whole: true, why: "COM starts the program that it names instead of the DLL's host",
		effect: "another program is asked for the credentials of containers, and is given their grant tokens",
	},
	{
		key: keyClass + `\TreatAs`, whole: true, why: "COM activates the class that it names instead of this one",
		effect: "another class is asked for the credentials of containers, and is given their grant tokens",
	},
	{
		key: `SYSTEM\CurrentControlSet\CCG\COMClasses\` + CLSID, whole: true, why: `old documentation left out \Control; CCG does not look there`,
		effect: "none beside the right key; alone, " + notInstantiated + "Object was not found in registry",
	},
	{
		key: `SOFTWARE\Classes\WOW6432Node\CLSID\` + CLSID, whole: true, why: "it registers the class for 32-bit programs, and CCG and the DLL have 64",
		effect: "none beside the right key; alone, COM starts the 32-bit dllhost.exe, which cannot load the DLL: " + notInstantiated + noClass,
	},
}

// Setting is a value of the registry. It is how those who check a registration
// from outside, with other tools, learn what the contract has.
type Setting struct {
	Key, Name string // below HKEY_LOCAL_MACHINE; an empty name is the default value's
	Value     Value
}

// Written is what Register writes for the DLL at path.
func Written(path string) []Setting {
	var all []Setting
	for _, e := range entries(path) {
		all = append(all, Setting{e.key, e.name, e.value})
	}
	return all
}

// Unwanted is what Register removes: a value or, where Value has no data, a
// whole key.
func Unwanted() []Setting {
	var all []Setting
	for _, o := range obstacles {
		s := Setting{Key: o.key, Name: o.name}
		if !o.whole {
			s.Value = text("x")
		}
		all = append(all, s)
	}
	return all
}
