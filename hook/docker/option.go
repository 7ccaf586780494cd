package docker

import (
	"fmt"
	"path"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// optionKey is the security option that carries a credential spec.
const optionKey = "credentialspec"

// specOptions returns the values of all credentialspec options, as Docker on
// Windows finds them: the key in any case, before the first "=".
func specOptions(securityOpt []string) []string {
	var values []string
	for _, opt := range securityOpt {
		if key, value, ok := strings.Cut(opt, "="); ok && strings.EqualFold(key, optionKey) {
			values = append(values, value)
		}
	}
	return values
}

// kind is where Docker takes a credential spec from.
type kind string

const (
	kindNone     kind = ""
	kindFile     kind = "file"
	kindRegistry kind = "registry"
	kindRaw      kind = "raw"
)

// option is what a container's security options say of its credential spec.
type option struct {
	kind  kind
	value string // of a file: below the folder, with slashes
}

// parseOption reads the values of a container's credentialspec options. What it
// refuses, Docker would misunderstand, refuse later in fewer words, or follow out
// of its folder.
func parseOption(values []string) (option, error) {
	switch len(values) {
	case 0:
		return option{}, nil
	case 1:
	default:
		return option{}, fmt.Errorf("--security-opt credentialspec is given %d times, and Docker would take the last: %w", len(values), fault.ErrMalformed)
	}
	scheme, value, ok := strings.Cut(values[0], "://")
	if !ok || value == "" {
		return option{}, fmt.Errorf("--security-opt credentialspec is neither file://NAME.json nor registry://NAME: %w", fault.ErrMalformed)
	}
	switch strings.ToLower(scheme) {
	case "file":
		name, err := below(value)
		return option{kindFile, name}, err
	case "registry":
		if strings.ContainsAny(value, "\\/\x00") {
			return option{}, fmt.Errorf("--security-opt credentialspec=registry://…: a value's name has no separators: %w", fault.ErrMalformed)
		}
		return option{kindRegistry, value}, nil
	case "raw":
		return option{kindRaw, value}, nil
	case "config":
		return option{}, fmt.Errorf("--security-opt credentialspec=config://… is of Docker Swarm's services, whose documents dockerd alone can read: %w", fault.ErrDenied)
	}
	return option{}, fmt.Errorf("--security-opt credentialspec: Docker reads file://, registry:// and raw://, and not %q: %w", clip(scheme), fault.ErrMalformed)
}

// below is a path below Docker's CredentialSpecs folder, cleaned, with slashes.
// Docker compares the start of the path with the folder's, so that ..\Name would
// lead into a folder beside it whose name begins alike; and Windows knows a file
// by many names, of which only the plain one is taken.
func below(value string) (string, error) {
	name := path.Clean(strings.ReplaceAll(value, `\`, "/"))
	refuse := func(why string) (string, error) {
		return "", fmt.Errorf("--security-opt credentialspec=file://%s: %s: %w", clip(value), why, fault.ErrDenied)
	}
	switch {
	case path.IsAbs(name) || len(name) > 1 && name[1] == ':':
		return refuse("a path in Docker's CredentialSpecs folder is wanted, not an absolute one")
	case name == ".." || strings.HasPrefix(name, "../"):
		return refuse("it leads out of Docker's CredentialSpecs folder")
	case name == ".":
		return refuse("it names no file")
	case strings.ContainsAny(name, ":*?\"<>|\x00"):
		return refuse("it has a character that no file's name has")
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.TrimRight(part, ". ") != part {
			return refuse("Windows drops a dot or blank at the end of a name")
		}
	}
	return name, nil
}

// clip cuts what somebody else wrote to what an error bears.
func clip(s string) string {
	const most = 128
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
