package eventlog

// Category is a range of IDs that belong together; Event Viewer calls it a task
// category.
type Category struct {
	First ID
	Name  string
}

// categorySize is how many IDs a category has.
const categorySize = 1000

// Categories are all of them; an event's category number is the place here,
// counted from 1. Events are added within their range.
var Categories = []Category{
	{1000, "Agent"},
	{2000, "Containers"},
	{3000, "Credentials"},
	{4000, "Sources and stores"},
	{5000, "CCG plugin"},
	{6000, "Service"},
	{7000, "CCG instances"},
	{8000, "Runtimes"},
}

// The agent's events. The IDs from 5001 to 5199 are the plugin's own; package
// internal/ccgplugin has them beside its results.
const (
	AgentStarted     ID = 1000
	AgentReady       ID = 1001
	AgentStopped     ID = 1002
	AgentStartFailed ID = 1003
	AgentEnded       ID = 1004
	AgentPanicked    ID = 1005
	AuditUnwritable  ID = 1010
	AuditWritable    ID = 1011
	ControlRefused   ID = 1020
	Repeated         ID = 1030
	ConfigApplied    ID = 1100
	ConfigRejected   ID = 1101

	AdmitGranted  ID = 2000
	AdmitPassed   ID = 2001
	AdmitRefused  ID = 2002
	InjectionLost ID = 2003
	GrantRevoked  ID = 2004

	ContainerCreated   ID = 2010
	ContainerRestarted ID = 2011

	RedeemReleased ID = 3000
	RedeemRefused  ID = 3001
	RedeemStranger ID = 3002

	SpecStale       ID = 4000
	SecretStale     ID = 4001
	SecretForgotten ID = 4002
	SecretRejected  ID = 4003
	StoreFailing    ID = 4010
	StoreRecovered  ID = 4011
	SourceFailing   ID = 4012
	SourceRecovered ID = 4013

	PluginBroken ID = 5200
	PluginHealed ID = 5201

	ServiceInstalled  ID = 6000
	ServiceUpgraded   ID = 6001
	ServiceRolledBack ID = 6002
	ServiceFailed     ID = 6003
	ServiceRemoved    ID = 6004

	InstanceRemoved ID = 7000

	RuntimeLost ID = 8000
	RuntimeBack ID = 8001
)

// Table has the agent's events in the order of their IDs. docs/events.md, the
// message resource in gmsa-agent.exe and what is written are made from it, or
// compared with it by a test. A parameter that is not known is written as "-".
var Table = []Event{
	{AgentStarted, Information, "agent.started", "The agent starts. It found %1.",
		[]string{"live grants"}, ""},
	{AgentReady, Information, "agent.ready", "The agent is ready.\r\n\r\nVersion: %1\r\nConfiguration: %2\r\nAudit trail: %3",
		[]string{"version", "configuration file", "audit trail"}, ""},
	{AgentStopped, Information, "agent.stopped", "The agent was stopped. Containers that run keep their identity; until it runs again, no container that asks for a gMSA starts.",
		nil, ""},
	{AgentStartFailed, Error, "agent.start_failed", "The agent did not start: %1",
		[]string{"cause"}, "Mend the cause. `gmsa-agent config validate` checks the configuration, `gmsa-agent run` shows the start on the screen."},
	{AgentEnded, Error, "agent.ended", "The agent ended by itself: %1",
		[]string{"cause"}, "The service starts it again. If it recurs, see the agent's log."},
	{AgentPanicked, Error, "agent.panicked", "A fault of the agent was caught. It happened in %1 (%2), which was refused; the agent goes on.",
		[]string{"what it was doing", "kind of fault"}, "Report it with the agent's log, which has the place."},
	{AuditUnwritable, Error, "audit.unwritable", "The audit trail cannot be written. Until it can, containers that ask for a gMSA are refused and no password is released.\r\n\r\nCause: %1\r\nWhat was to be recorded: %2",
		[]string{"cause", "event of the trail"}, "Make room on the disk of the file in the cause, or give the agent access to it."},
	{AuditWritable, Information, "audit.writable", "The audit trail can be written again.",
		nil, ""},
	{ControlRefused, Warning, "control.refused", "Somebody who may not called the agent's control channel and was refused: %1, process %2, user %3.\r\n\r\nReason: %4",
		[]string{"program", "process ID", "user's SID", "reason"}, "Run gmsa-agent's commands as an administrator. If it was none of them, find out what the program is."},
	{Repeated, Warning, "events.repeated", "Event %1 (%2) happened %3 more times since %4. It was not written each time, so that it does not push others out of the log; the audit trail has what belongs there.",
		[]string{"event ID", "event's name", "count", "time, UTC"}, "See the event's latest entries for what to do: `gmsa-agent audit --output json`"},
	{ConfigApplied, Information, "config.applied", "The changed configuration is in effect: %1",
		[]string{"configuration file"}, ""},
	{ConfigRejected, Error, "config.rejected", "The changed configuration is not applied, and the one before stays in effect: %1",
		[]string{"cause"}, "Correct the file, then check it: `gmsa-agent config validate`"},

	{AdmitGranted, Information, "admit.granted", "A container may use its credential spec.\r\n\r\nContainer: %1\r\nImage: %2\r\nCredential spec: %3\r\nAccount: %4\r\nSecret: %5\r\nGrant: %6",
		[]string{"container", "image", "credential spec", "gMSA", "secret", "grant"}, ""},
	{AdmitPassed, Information, "admit.passed", "A container's credential spec is left as it is. The agent gives no plugin user for it.\r\n\r\nContainer: %1\r\nImage: %2\r\nCredential spec: %3\r\nAccount: %4\r\nReason: %5",
		[]string{"container", "image", "credential spec", "gMSA", "reason"}, ""},
	{AdmitRefused, Error, "admit.refused", "A container asked for a gMSA and does not start.\r\n\r\nContainer: %1\r\nReason: %2\r\n\r\nImage: %3\r\nCredential spec: %4\r\nAccount: %5\r\nSecret: %6",
		[]string{"container", "reason", "image", "credential spec", "gMSA", "secret"}, "`gmsa-agent containers inspect ID` has the whole decision; `gmsa-agent verify REF` tries the chain without a container."},
	{InjectionLost, Error, "injection.lost", "A container runs without its gMSA: it was started before the agent could give it the document.\r\n\r\nContainer: %1\r\nReason: %2\r\nImage: %3\r\nAccount: %4",
		[]string{"container", "reason", "image", "gMSA"}, "Start the container again. The shim wrapper (docs/containerd.md) rules it out."},
	{GrantRevoked, Information, "grant.revoked", "A grant ended; its container gets no more credentials.\r\n\r\nContainer: %1\r\nReason: %2\r\nAccount: %3\r\nGrant: %4",
		[]string{"container", "reason", "gMSA", "grant"}, ""},

	{ContainerCreated, Information, "container.created", "A container that asks for a gMSA was created. It is admitted when it is started.\r\n\r\nContainer: %1\r\nImage: %2\r\nCredential spec: %3",
		[]string{"container", "image", "credential spec"}, ""},
	{ContainerRestarted, Information, "container.restarted", "A container was started again by its runtime, and goes on with what it was admitted with.\r\n\r\nContainer: %1\r\nReason: %2\r\nAccount: %3\r\nGrant: %4",
		[]string{"container", "reason", "gMSA", "grant"}, ""},

	{RedeemReleased, Information, "redeem.released", "The plugin user of a container's gMSA was released to Container Credential Guard's plugin host.\r\n\r\nContainer: %1\r\nAccount: %2\r\nSecret: %3\r\nVersion: %4\r\nGrant: %5\r\nPlugin host: %6, process %7, user %8",
		[]string{"container", "gMSA", "secret", "secret's version", "grant", "program", "process ID", "user's SID"}, ""},
	{RedeemRefused, Error, "redeem.refused", "Container Credential Guard asked for a container's plugin user and got nothing: the container has no identity.\r\n\r\nContainer: %1\r\nReason: %2\r\n\r\nAccount: %3\r\nSecret: %4\r\nGrant: %5",
		[]string{"container", "reason", "gMSA", "secret", "grant"}, "`gmsa-agent status` has the stores' last errors; `gmsa-agent secret check REF` tries one."},
	{RedeemStranger, Warning, "redeem.stranger", "Somebody asked on the plugin channel without a live grant, or without being Container Credential Guard's plugin host, and got nothing.\r\n\r\nReason: %1\r\nCaller: %2, process %3, user %4",
		[]string{"reason", "program", "process ID", "user's SID"}, "If a container was meant, start it anew: its document is of a container that is gone, or was copied. Else find out what the program is."},

	{SpecStale, Warning, "credspec.stale", "The source of a credential spec cannot be asked, and the last document that it had is used.\r\n\r\nCredential spec: %1\r\nReason: %2\r\nContainer: %3",
		[]string{"credential spec", "reason", "container"}, "Mend the way to the source before the document is too old (`credential_specs.cache.stale`): `gmsa-agent status`"},
	{SecretStale, Warning, "secret.stale", "A secret store cannot be asked, and what it gave last is used.\r\n\r\nSecret: %1\r\nReason: %2\r\nContainer: %3",
		[]string{"secret", "reason", "container"}, "Mend the way to the store before the secret is too old (`secrets.cache.stale`): `gmsa-agent secret check REF`"},
	{SecretForgotten, Information, "secret.forgotten", "An administrator had the agent drop what it has cached of a secret.\r\n\r\nSecret: %1\r\nVersion: %2\r\nReason: %3\r\nBy: %4",
		[]string{"secret", "secret's version", "reason", "user's SID"}, ""},
	{SecretRejected, Error, "secret.rejected", "Active Directory does not accept the plugin user that a secret holds, and what is cached of it is dropped.\r\n\r\nSecret: %1\r\nVersion: %2\r\nReason: %3",
		[]string{"secret", "secret's version", "reason"}, "Put the account's present password into the store, then: `gmsa-agent verify REF`"},
	{StoreFailing, Warning, "store.failing", "The last request to the secret store %1 failed: %2\r\n\r\nContainers whose secret is not cached do not start.",
		[]string{"scheme", "cause"}, "`gmsa-agent secret check REF` tries it; `gmsa-agent status` has all stores."},
	{StoreRecovered, Information, "store.recovered", "The secret store %1 answers again.",
		[]string{"scheme"}, ""},
	{SourceFailing, Warning, "source.failing", "The last request to the credential-spec source %1 failed: %2\r\n\r\nContainers whose credential spec is not cached do not start.",
		[]string{"scheme", "cause"}, "`gmsa-agent credspec resolve REF` tries it; `gmsa-agent status` has all sources."},
	{SourceRecovered, Information, "source.recovered", "The credential-spec source %1 answers again.",
		[]string{"scheme"}, ""},

	{PluginBroken, Error, "plugin.broken", "The CCG plugin is not registered as it must be, so that Container Credential Guard does not find or accept it: %1",
		[]string{"what is wrong"}, "Register it again: `gmsa-agent plugin register`"},
	{PluginHealed, Information, "plugin.healed", "The CCG plugin is registered as it must be.",
		nil, ""},

	{ServiceInstalled, Information, "service.installed", "gmsa-agent %1 was installed on this host, and answers.",
		[]string{"version"}, ""},
	{ServiceUpgraded, Information, "service.upgraded", "gmsa-agent %1 is in the place of %2, and answers.",
		[]string{"version", "version before"}, ""},
	{ServiceRolledBack, Error, "service.rolled_back", "gmsa-agent %1 could not be installed, and what was there before is there again (version: %2).\r\n\r\nCause: %3\r\nNot brought back: %4",
		[]string{"version", "version before", "cause", "what of the way back failed"}, "Mend the cause, and install it again: `gmsa-agent service install`. What was not brought back is, by the same command."},
	{ServiceFailed, Error, "service.failed", "%1 of gmsa-agent failed: %2",
		[]string{"install or uninstall", "cause"}, "Mend the cause and give the command again, which goes on where it stopped: `gmsa-agent service status`"},
	{ServiceRemoved, Information, "service.removed", "gmsa-agent %1 was removed from this host.",
		[]string{"version"}, ""},

	{InstanceRemoved, Information, "instance.removed", "What HCS keeps for Container Credential Guard of a container that is gone is removed.\r\n\r\nContainer: %1\r\nReason: %2\r\nBy: %3",
		[]string{"container", "reason", "administrator's SID, if one asked for it"}, ""},

	{RuntimeLost, Warning, "runtime.lost", "The connection to %1 at %2 is lost: %3\r\n\r\nUntil it is back the agent does not see containers end, and gives no document to those that are given it by the watch alone.",
		[]string{"runtime", "address", "cause"}, "If it does not come back by itself, see whether the runtime is running: `gmsa-agent status`"},
	{RuntimeBack, Information, "runtime.back", "The connection to %1 at %2 is back.",
		[]string{"runtime", "address"}, ""},
}
