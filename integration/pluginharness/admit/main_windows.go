// Command admit asks the agent to admit containers, as the shim wrapper does:
// one for each line of standard input, which is a container's facts as JSON.
// For each it prints a line, the PluginInput of the admitted document, which
// carries the container's grant token.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/hook"
	"github.com/gmsa-agent/gmsa-agent/internal/agent"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire/control"
)

// patience bounds one admission, on a slow machine.
const patience = time.Minute

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	for lines := json.NewDecoder(in); ; {
		var f hook.Facts
		err := lines.Decode(&f)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		input, err := admit(f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Key, err)
		}
		if _, err := fmt.Fprintln(out, input); err != nil {
			return err
		}
	}
}

func admit(f hook.Facts) (input string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := channel.Dial(ctx, channel.Control, "")
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // the answer is read
	var admission hook.Admission
	if err := control.Call(ctx, conn, agent.VerbAdmit, f, &admission); err != nil {
		return "", err
	}
	spec, err := credspec.Parse(admission.Document)
	if err != nil {
		return "", err
	}
	host := spec.ActiveDirectoryConfig.HostAccountConfig
	if host == nil {
		return "", errors.New("the admitted document names no plugin")
	}
	return host.PluginInput, nil
}
