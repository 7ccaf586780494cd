package main

import (
	"errors"
	"strings"
	"testing"
)

func pinnedToolchain() toolchain {
	return toolchain{golang: "go1.2.3", gcc: wantGCC, binutils: wantBinutils, mingw: wantMingw, parts: append([]part(nil), parts...)}
}

func TestThePinnedCompilersAreTaken(t *testing.T) {
	t.Parallel()
	if err := pinnedToolchain().differences("go1.2.3"); err != nil {
		t.Error(err)
	}
}

func TestEveryOtherCompilerIsNamed(t *testing.T) {
	t.Parallel()
	tc := pinnedToolchain()
	tc.gcc, tc.binutils, tc.mingw = "13-win32", "2.41", "11.0.1"
	tc.parts[0].sha256 = strings.Repeat("0", 64)
	err := tc.differences("go1.2.4")
	if !errors.Is(err, errOtherCompiler) {
		t.Fatalf("got %v, want that the compilers are others", err)
	}
	for _, says := range []string{
		"Go is go1.2.3, and packages are made with go1.2.4", "is 13-win32", "is 2.41", "is 11.0.1",
		"libgcc.a of gcc is another build",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("it does not say %q: %v", says, err)
		}
	}
}

// What the machine has is found, whether or not it is what is pinned.
func TestCompilersAreFound(t *testing.T) {
	needs(t, "go", mingw)
	tc, err := findToolchain(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", tc)
	for what, is := range map[string]string{"Go": tc.golang, "gcc": tc.gcc, "binutils": tc.binutils, "mingw-w64": tc.mingw} {
		if !strings.ContainsAny(is, "0123456789") {
			t.Errorf("the version of %s is %q", what, is)
		}
	}
	golang, err := pinnedGo(t.Context(), moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(golang, ".") != 2 || !strings.HasPrefix(golang, "go1.") {
		t.Errorf("go.mod pins %q, which is no exact version of Go", golang)
	}
	if err := tc.differences(golang); err != nil {
		t.Logf("a package is not made on this machine: %v", err)
	}
}
