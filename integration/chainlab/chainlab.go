// Package chainlab runs a Windows host's container stack under Wine: the real
// containerd.exe and ctr.exe, Microsoft's real runhcs shim, and a double of the
// one thing below them that only Windows has, HCS, with its CCG.
//
// In front of that stack it puts, where asked to, the project's own Windows
// programs, unmodified: the agent, the shim wrapper and the CCG plugin.
//
// A started container is proof of what was sent to HCS and of what CCG got from
// the plugin. It is no proof of what HCS or CCG would have done with it: their
// answers are invented (see hcsdouble and ccgdouble), and nothing runs in the
// container.
package chainlab
