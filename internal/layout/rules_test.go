package layout

// rule is about what packages may reach through imports, directly or not, on
// any platform and without their tests.
//
// Names of this module are relative to it; "..." at the end takes a folder and
// what is below it.
type rule struct {
	who []string
	// but are exempt from the rule.
	but []string
	// only, if not nil, are the packages of this module and the other modules
	// that may be reached; the standard library may in any case.
	only []string
	// never are packages of this module, other modules or packages of the
	// standard library that must not be reached.
	never []string
	why   string
}

// thin is what the pieces may use that run inside other people's processes or
// are started with every container.
var thin = []string{"golang.org/x/sys", "github.com/Microsoft/go-winio"}

var rules = []rule{
	{
		who:   []string{"cmd/ccg-plugin/...", "internal/ccgplugin/..."},
		only:  append([]string{"cmd/ccg-plugin/...", "internal/ccgplugin/...", "internal/wire", "internal/channel", "internal/eventlog", "internal/fault"}, thin...),
		never: []string{"net/http", "encoding/json", "crypto/tls"},
		why:   "the DLL runs inside of Windows' credential service: it redeems and can do nothing else, and stays small",
	},
	{
		who:   []string{"cmd/containerd-shim-gmsa/..."},
		only:  append([]string{"cmd/containerd-shim-gmsa/...", "hook", "hook/bundle", "internal/wire/...", "internal/channel", "internal/fault"}, thin...),
		never: []string{"net/http", "crypto/tls"},
		why:   "the wrapper starts with every container, in 3 ms, and must not fail for the sake of something it links",
	},
	{
		who:  []string{"internal/fault"},
		only: []string{},
		why:  "every package wraps its kinds, so it can depend on none",
	},
	{
		who:   []string{"internal/wire/..."},
		only:  []string{"internal/wire", "internal/fault"},
		never: []string{"net/http"},
		why:   "the protocol knows bytes; the DLL and the wrapper link it",
	},
	{
		who:   []string{"internal/wire"},
		never: []string{"encoding/json"},
		why:   "the DLL links the plugin channel's frames, and needs no JSON for them: that is internal/wire/control's",
	},
	{
		who:  []string{"internal/channel"},
		only: append([]string{"internal/fault"}, thin...),
		why:  "the channels say who is there, not what is said; the DLL and the wrapper link them",
	},
	{
		who:   []string{"internal/eventlog"},
		only:  append([]string{"internal/fault"}, thin...),
		never: []string{"net/http", "encoding/json"},
		why:   "the DLL links it: events are words and numbers, whatever they are made from",
	},
	{
		who:  []string{"internal/service"},
		only: append([]string{"internal/service", "internal/private", "internal/ccgplugin", "internal/eventlog", "internal/wire", "internal/channel", "internal/fault"}, thin...),
		why:  "the installer knows files, registries and service managers; how the agent is configured and asked is handed to it",
	},
	{
		who:  []string{"hook", "hook/bundle"},
		only: append([]string{"hook", "internal/fault", "internal/jsontree"}, thin...),
		why:  "the wrapper links them: what a container asks needs no SDK to be read",
	},
	{
		who:   []string{"hook/..."},
		never: []string{"credspec/...", "secrets/...", "hcs/...", "internal/agent/...", "internal/config", "internal/directory/..."},
		why:   "hooks bring facts and take documents; whether a container may is asked through hook.Admitter",
	},
	{
		who:   []string{"credspec/..."},
		never: []string{"secrets/...", "hook/...", "hcs/...", "internal/agent/...", "internal/config", "internal/directory/..."},
		why:   "credential specs and secrets do not know each other, nor who asks: the agent joins them",
	},
	{
		who:   []string{"secrets/..."},
		never: []string{"credspec/...", "hook/...", "hcs/...", "internal/agent/...", "internal/config", "internal/directory/..."},
		why:   "credential specs and secrets do not know each other, nor who asks: the agent joins them",
	},
	{
		who:  []string{"credspec"},
		only: append([]string{"internal/fault", "internal/jsontree"}, thin...),
		why:  "whoever reads a document links no source's SDK",
	},
	{
		who:  []string{"secrets"},
		only: append([]string{"internal/fault", "internal/jsontree", "internal/locked"}, thin...),
		why:  "whoever holds a credential links no store's SDK",
	},
	{
		who:   []string{"hcs/..."},
		never: []string{"credspec/...", "secrets/...", "hook/...", "internal/agent/...", "internal/config"},
		why:   "HCS's documents carry a credential spec as text: hcs knows where, not what",
	},
	{
		who:   []string{"internal/directory/..."},
		never: []string{"credspec/...", "secrets/...", "hook/...", "hcs/...", "internal/agent/...", "internal/config"},
		why:   "the directory client takes names and bytes, wherever they are from",
	},
	{
		who:   []string{"internal/agent/..."},
		never: []string{"credspec/sources", "secrets/stores", "secrets/local", "credspec/file", "hook/containerd/...", "hook/docker/...", "internal/directory/...", "internal/daemon", "github.com/urfave/cli/v2"},
		why:   "the agent decides; which sources, stores and runtimes there are is handed to it. Of the configuration it knows the policy's types",
	},
	{
		who:   []string{"internal/doctor"},
		never: []string{"internal/daemon", "credspec/sources", "secrets/stores", "github.com/urfave/cli/v2"},
		why:   "the doctor judges what it is shown; who looks at the host, and with which stores, is handed to it",
	},
	{
		who:   []string{"internal/config"},
		never: []string{"credspec/sources", "secrets/stores", "internal/agent/...", "internal/directory/...", "github.com/urfave/cli/v2"},
		why:   "the configuration is text with a meaning; nothing is opened by reading it",
	},
	{
		who:   []string{"..."},
		but:   []string{"cmd/...", "integration/...", "internal/daemon", "internal/agent/...", "internal/doctor"},
		never: []string{"internal/config", "internal/agent/...", "internal/daemon", "github.com/urfave/cli/v2"},
		why:   "programs read configuration and run the agent; packages are told what they need",
	},
	{
		who:   []string{"..."},
		but:   []string{"cmd/gmsa-agent/...", "integration/...", "internal/daemon"},
		never: []string{"credspec/sources", "secrets/stores"},
		why:   "they list the built-ins and link every SDK: only the agent's program may",
	},
	{
		who:   []string{"..."},
		but:   []string{"integration/...", "credspec/credspectest", "secrets/secretstest"},
		never: []string{"integration/...", "credspec/credspectest", "secrets/secretstest"},
		why:   "the product contains no labs and no tests",
	},
	{
		who:   []string{"..."},
		but:   []string{"cmd/..."},
		never: []string{"cmd/..."},
		why:   "programs are the end of the arrows",
	},
}

// families are folders whose packages must not reach each other.
var families = []struct {
	folder string
	list   string   // the one package that lists the others
	shared []string // packages that are no leaves
	why    string
}{
	{"credspec", "credspec/sources", []string{"credspec/credspectest"}, "sources do not know each other: each can be understood, tested and removed alone"},
	{"secrets", "secrets/stores", []string{"secrets/secretstest"}, "stores do not know each other: each can be understood, tested and removed alone"},
	{"hook", "", []string{"hook/bundle"}, "hooks do not know each other: each runtime can be understood, tested and removed alone"},
}

// platformFree are folders without code for one platform.
var platformFree = []struct{ folder, why string }{
	{"internal/agent", "what decides is the same everywhere, so that it is tested everywhere"},
	{"internal/doctor", "what is judged is the same everywhere; what a platform lacks is what it is shown"},
	{"internal/config", "a configuration means the same wherever it is checked"},
	{"internal/fault", "kinds of errors are the same everywhere"},
	{"internal/wire", "the protocol is the same everywhere"},
}
