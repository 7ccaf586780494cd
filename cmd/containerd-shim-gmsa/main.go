// Command containerd-shim-gmsa runs in front of containerd's real runtime shim
// and gives a container that asks for a gMSA the document that the agent
// admitted, before the real shim reads the container's bundle.
//
// It is installed in a folder of its own under the real shim's file name
// (containerd-shim-runhcs-v1.exe), and containerd is pointed at it: containerd
// decides by that name how it talks to a shim.
//
// On the action start it reads config.json in the working folder, which is the
// bundle. A container that does not ask is handed over to the real shim at once,
// and so is one whose config.json cannot be decoded: the real shim decodes the
// same bytes with the same package and will say so itself. A container that asks
// starts with the admitted document or does not start. Every other action is
// handed over untouched. Files that say where the real shim and the agent are,
// see settings.go.
//
// Of the real shim's world nothing changes: standard streams, environment,
// signals, exit code. In particular nothing is written to standard error unless
// the real shim is not started: containerd takes standard output and error
// together for the shim's answer.
//
// The command knows one verb of the agent's control channel, admit. It refuses
// to know credential specs, policy and secrets; it links no SDK and no HTTP.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, run(context.Background(), os.Args))
	os.Exit(1)
}

// run does what containerd asked for with args. It returns only what went
// wrong: else the process is the real shim, or ends with its exit code.
func run(ctx context.Context, args []string) error {
	call := parseCall(args[1:])
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("gmsa-agent: shim wrapper: %w", err)
	}
	settings, settingsErr := readSettings(self)
	shim, shimErr := finder{self: self, name: args[0], settings: settings, containerd: call.publishBinary}.find()
	if call.action == actionStart {
		err := admitter{call: call, endpoint: settings.endpoint, ask: patiently(askAgent, restartPatience)}.admit(ctx, settingsErr, shimErr)
		if err != nil {
			return err
		}
	}
	if shimErr != nil {
		return fmt.Errorf("gmsa-agent: shim wrapper: %w", shimErr)
	}
	return handOver(shim, args)
}
