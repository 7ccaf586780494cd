// Command plugshim runs the real runhcs shim, which lies in the folder "real"
// beside it, and plugs the pipe that a started shim listens on before
// containerd learns its name. Why: see winelab's plug. It changes nothing of
// what the two say to each other.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintf(os.Stderr, "plugshim: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func run() (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	dir, name := filepath.Split(self)
	var out bytes.Buffer
	shim := exec.Command(filepath.Join(dir, "real", name), os.Args[1:]...)
	shim.Stdin, shim.Stdout, shim.Stderr = os.Stdin, &out, os.Stderr
	err = shim.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		_, err := os.Stdout.Write(out.Bytes())
		return exit.ExitCode(), err
	}
	if err != nil {
		return 0, err
	}
	if os.Args[len(os.Args)-1] == "start" {
		if err := plug(filepath.Join(dir, "plug.exe"), out.String()); err != nil {
			return 0, err
		}
	}
	_, err = os.Stdout.Write(out.Bytes())
	return 0, err
}

// plug starts the plug, which outlives this program, and waits until it holds
// the pipe.
func plug(exe, pipe string) error {
	cmd := exec.Command(exe, pipe)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("plug %s: %q, %w", pipe, line, err)
	}
	return cmd.Process.Release()
}
