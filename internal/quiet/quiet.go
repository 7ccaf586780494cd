// Package quiet takes out of a program's environment what would have libraries
// print secrets: Go's HTTP/2 shows headers, tokens among them, and the beginnings
// of bodies when GODEBUG has http2debug, and gRPC and Google's SDK have logs of
// their own. Who may read an agent's log may not therefore have its tokens.
//
// Libraries read the environment when they are initialised, before main. A
// program imports this package for its effect, which comes earlier: it imports
// nothing that takes its time, and Go initialises packages that are ready in the
// order of their import paths. Ours is before golang.org, google.golang.org and
// net/http.
//
// It refuses to know which libraries a program has. Those whose import paths
// come first (Azure's SDK) are silenced by who uses them.
//
// See https://go.dev/ref/spec#Program_initialization.
package quiet

import (
	"os"
	"strings"
)

// loud are variables whose only use is to have a library print what it does.
var loud = []string{
	"GOOGLE_SDK_GO_LOGGING_LEVEL",
	"GRPC_GO_LOG_SEVERITY_LEVEL", "GRPC_GO_LOG_VERBOSITY_LEVEL",
}

var taken []string

func init() {
	if value, changed := without(os.Getenv("GODEBUG")); changed {
		take("GODEBUG=http2debug", os.Setenv("GODEBUG", value))
	}
	for _, name := range loud {
		if os.Getenv(name) != "" {
			take(name, os.Unsetenv(name))
		}
	}
}

func take(what string, err error) {
	if err == nil { // as it always is of a name without "=" and NUL
		taken = append(taken, what)
	}
}

// without returns GODEBUG's value without what net/http looks for in it, which
// is a text anywhere.
func without(value string) (rest string, changed bool) {
	var kept []string
	for setting := range strings.SplitSeq(value, ",") {
		if !strings.Contains(setting, "http2debug") {
			kept = append(kept, setting)
		}
	}
	rest = strings.Join(kept, ",")
	return rest, rest != value
}

// Taken says what was taken out of this process's environment.
func Taken() []string { return taken }
