package service

import (
	"fmt"
	"path/filepath"
	"strings"
)

// unitText is the unit. What it takes from the process is what the agent has no
// use for; what it keeps:
//
//   - CAP_SYS_PTRACE: the program of a caller that is another user's, by
//     /proc/PID/exe
//   - CAP_DAC_READ_SEARCH: bundles' config.json, whoever's the state folder of
//     containerd is
//   - CAP_IPC_LOCK: passwords are kept out of the swap
//
// It stays root: the sockets of its channels and of containerd are root's.
// /proc is not hidden, because peers are looked up there.
const unitText = `# Written by gmsa-agent service install; changes belong into a drop-in:
# systemctl edit %[1]s
[Unit]
Description=%[2]s
After=network.target
# A container that asks for a gMSA finds the agent there. Nothing requires it:
# others start without.
Before=containerd.service docker.service

[Service]
Type=notify
ExecStart=%[3]s
Restart=on-failure
RestartSec=1
RuntimeDirectory=gmsa-agent
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=restart
ReadWritePaths=%[4]s
LimitMEMLOCK=infinity
LimitCORE=0
UMask=0077
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_IPC_LOCK
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`

// Unit is the unit of a service, as systemd.service(5) has it.
func Unit(d Definition) []byte {
	var writable []string
	for _, dir := range d.Writable {
		// Optional: the agent makes its folder when it has none.
		writable = append(writable, "-"+unitWord(dir))
	}
	return fmt.Appendf(nil, unitText, unitName(d.Name), d.Description, execStart(d), strings.Join(writable, " "))
}

func execStart(d Definition) string {
	words := []string{unitWord(filepath.ToSlash(d.Program))}
	for _, a := range d.Args {
		words = append(words, unitWord(a))
	}
	return strings.Join(words, " ")
}

// unitWord quotes a word as a unit wants it: "%" and "$" stand for something
// else there.
func unitWord(w string) string {
	w = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`, "\n", `\n`).Replace(w)
	if strings.ContainsAny(w, " \t'\\\"") {
		return `"` + w + `"`
	}
	return w
}
