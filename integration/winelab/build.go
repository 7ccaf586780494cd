package winelab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// compiler is the cross compiler for C.
const compiler = "x86_64-w64-mingw32-gcc"

// Build builds a program of the project for Windows: pkg is a package as in
// "./cmd/gmsa-agent", out an absolute path, flags are more for `go build`.
func Build(ctx context.Context, pkg, out string, flags ...string) error {
	return goTool(ctx, []string{"CGO_ENABLED=0"}, append(append([]string{"build", "-trimpath", "-o", out}, flags...), pkg))
}

// BuildDLL builds a package of the project as a Windows DLL.
func BuildDLL(ctx context.Context, pkg, out string, flags ...string) error {
	return goTool(ctx, []string{"CGO_ENABLED=1", "CC=" + compiler},
		append(append([]string{"build", "-trimpath", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out}, flags...), pkg))
}

func goTool(ctx context.Context, env, args []string) error {
	root, err := lab.ModuleRoot()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	cmd.Env = append(append(os.Environ(), "GOOS=windows", "GOARCH=amd64"), env...)
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(b)))
	}
	return nil
}

// Strict are the warnings that the project's own C must not cause, for BuildC.
var Strict = []string{"-Wall", "-Wextra", "-Werror"}

// BuildC compiles and links C for Windows: args are the compiler's, sources
// among them.
func BuildC(ctx context.Context, out string, args ...string) error {
	cmd := exec.CommandContext(ctx, compiler, append([]string{"-O2", "-s", "-static-libgcc", "-o", out}, args...)...)
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", compiler, err, strings.TrimSpace(string(b)))
	}
	return nil
}
