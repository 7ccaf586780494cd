package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// mingw is the C compiler of the DLL.
const (
	mingw   = "x86_64-w64-mingw32-gcc"
	windres = "x86_64-w64-mingw32-windres"
)

// The C compiler, its linker and mingw-w64's headers as packages are made with
// them: Debian 12's. Another version makes a DLL that works as well and has
// other bytes.
const (
	wantGCC      = "12-win32"
	wantBinutils = "2.40"
	wantMingw    = "10.0.0"
)

// Whose the pieces are.
const (
	gccProject   = "gcc"
	mingwProject = "mingw-w64"
)

// part is a piece of C that is linked into the DLL.
type part struct {
	file   string
	of     string // the project that it is from
	sha256 string
}

// parts are pinned by their content: two builds of one version of a compiler
// may differ in them.
var parts = []part{
	{"libgcc.a", gccProject, "29a6450eb33dcec2854eb982ebc0b13740dcaa90afdd69716abdc69b2aed5223"},
	{"libmingw32.a", mingwProject, "ffe10fb4c2299346a0ee73670e16fe267bfaf1d0acbef2c66f7c1d6ba6b56f23"},
	{"libmingwex.a", mingwProject, "d3c43edca6307802bd7efb4863d9daf7556cdebe5c0403e88014d9d4fb6bcee3"},
	{"libmsvcrt.a", mingwProject, "a902d3149175aae2ef6cde640ea930aa3b50b714a4b699eb52577ee2ab1e51e1"},
	{"libuuid.a", mingwProject, "8538ff19d26e226697de886aaf8f274a4130d779d54b5ae6828c36c284053888"},
	{"libkernel32.a", mingwProject, "b1cbfbddacb869a5718d6746c891f03ae29c2ac17c6cbe67938d639615199b42"},
	{"libole32.a", mingwProject, "b41569055fd13ab234e96900b1f1bfa1969d9a632a49922f4607c3457597738e"},
	{"dllcrt2.o", mingwProject, "510c454232fe8f30e007c4dd9554121ffd5fa7fe328be2c2bde4c4e4556f6109"},
	{"crtbegin.o", gccProject, "3713b3e5bcc8e8f09847b4db01058e73f777e420ddfc3aa0588744ef2f8bfdd3"},
	{"crtend.o", gccProject, "aa208033e947f7af00ab4d9b3b7c70038b9031e720996b4840be249fad41099e"},
}

// toolchain is what the programs are made with.
type toolchain struct {
	golang   string // as go version says it
	gcc      string
	binutils string
	mingw    string
	parts    []part
}

var errOtherCompiler = errors.New("packages of the same commit would differ")

// findToolchain asks the compilers what they are.
func findToolchain(ctx context.Context) (toolchain, error) {
	var tc toolchain
	if _, err := exec.LookPath(mingw); err != nil {
		return tc, fmt.Errorf("%w: install gcc-mingw-w64-x86-64 (make lab-wine does)", err)
	}
	env, err := buildEnvironment(ctx, "windows", true, "")
	if err != nil {
		return tc, err
	}
	golang, err := output(ctx, "", env, "go", "env", "GOVERSION")
	if err != nil {
		return tc, err
	}
	tc.golang = strings.TrimSpace(golang)
	macros := exec.CommandContext(ctx, mingw, "-E", "-P", "-")
	macros.Stdin = strings.NewReader("#include <_mingw.h>\n" +
		"@ __VERSION__ @ __MINGW64_VERSION_MAJOR __MINGW64_VERSION_MINOR __MINGW64_VERSION_BUGFIX\n")
	text, err := commandOutput(macros)
	if err != nil {
		return tc, err
	}
	fields := strings.Split(strings.TrimSpace(text), "@")
	if len(fields) < 3 {
		return tc, fmt.Errorf("%s does not say which version it is", mingw)
	}
	tc.gcc = strings.Trim(strings.TrimSpace(fields[len(fields)-2]), `"`)
	tc.mingw = strings.Join(strings.Fields(fields[len(fields)-1]), ".")
	ld, err := output(ctx, "", nil, mingw, "-Wl,--version")
	if err != nil {
		return tc, err
	}
	first, _, _ := strings.Cut(ld, "\n")
	tc.binutils = first[strings.LastIndexByte(first, ' ')+1:]
	for _, p := range parts {
		path, err := output(ctx, "", nil, mingw, "-print-file-name="+p.file)
		if err != nil {
			return tc, err
		}
		content, err := os.ReadFile(strings.TrimSpace(path))
		if err != nil {
			return tc, fmt.Errorf("what %s links into a DLL: %w", mingw, err)
		}
		sum := sha256.Sum256(content)
		tc.parts = append(tc.parts, part{p.file, p.of, hex.EncodeToString(sum[:])})
	}
	return tc, nil
}

// pinned is the version of Go that go.mod asks for, exactly.
func pinnedGo(ctx context.Context, source string) (string, error) {
	text, err := output(ctx, source, nil, "go", "mod", "edit", "-json")
	if err != nil {
		return "", err
	}
	var mod struct{ Go, Toolchain string }
	if err := json.Unmarshal([]byte(text), &mod); err != nil {
		return "", fmt.Errorf("go mod edit: %w", err)
	}
	if mod.Toolchain != "" {
		return mod.Toolchain, nil
	}
	return "go" + mod.Go, nil
}

// differences name what is not as pinned, all of it.
func (tc toolchain) differences(golang string) error {
	var errs []error
	for _, c := range []struct{ what, is, want string }{
		{"Go", tc.golang, golang},
		{mingw, tc.gcc, wantGCC},
		{"its linker", tc.binutils, wantBinutils},
		{"mingw-w64", tc.mingw, wantMingw},
	} {
		if c.is != c.want {
			errs = append(errs, fmt.Errorf("%s is %s, and packages are made with %s", c.what, c.is, c.want))
		}
	}
	for i, p := range parts {
		if tc.parts[i].sha256 != p.sha256 {
			errs = append(errs, fmt.Errorf("%s of %s is another build than packages are made with", p.file, p.of))
		}
	}
	if errs == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errOtherCompiler, errors.Join(errs...))
}

func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	return commandOutput(cmd)
}

// commandOutput is what a command printed; what it complained of is in the error.
func commandOutput(cmd *exec.Cmd) (string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, tail(stderr.String()))
	}
	return string(out), nil
}

// tail keeps the end of what a command said: the cause stands there.
func tail(s string) string {
	const most = 2000
	s = strings.TrimSpace(s)
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}
