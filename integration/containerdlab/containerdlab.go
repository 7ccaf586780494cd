// Package containerdlab runs Debian's containerd with its runc shim: real
// containers on this machine, in a second, for the suites about what stands
// between a runtime and the agent.
//
// The stack lives in process and mount namespaces of its own. Its shims and
// containers outlive a containerd that is restarted, as they should, and none
// outlives the lab, as they must not: the first process of the namespace dies
// with the process that started the lab, and the kernel ends everything else and
// takes the mounts away.
//
// Nothing in these containers is Windows. What a suite can show is what the
// runtime was told: the bundle's config.json, containerd's record, ctr's words.
package containerdlab

// Image is the name of the image that every lab has: a static busybox. Its
// containers run until they are killed if they are given no command.
const Image = "lab.gmsa-agent.invalid/busybox:1"

// Shim is the file name of the runtime shim that io.containerd.runc.v2 stands for.
const Shim = "containerd-shim-runc-v2"
