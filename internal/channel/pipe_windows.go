package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// pipePrefix begins the name of every local pipe.
const pipePrefix = `\\.\pipe\`

// pipeBuffer is what a write may leave with the system before anybody reads.
// Without one, a server that answers and closes would wait for its caller, or
// take the answer away from it. The largest answer of the plugin channel fits.
const pipeBuffer = 16 << 10

// defaultEndpoint is below ProtectedPrefix\Administrators, where Windows lets
// only administrators and SYSTEM create a pipe.
func defaultEndpoint(a Audience) string {
	return pipePrefix + `ProtectedPrefix\Administrators\gmsa-agent\` + a.String()
}

func sameImage(a, b string) bool {
	return strings.EqualFold(filepath.Clean(a), filepath.Clean(b))
}

func defaultAllow(a Audience) Allow {
	if a == Control || a == Gate {
		return Allow{Users: slices.Clone(controlUsers)}
	}
	system, err := windows.GetSystemDirectory()
	if err != nil {
		return Allow{} // nobody, as an empty list of images would mean any
	}
	// COM's surrogate, in which CCG has its plugin activated.
	return Allow{Users: slices.Clone(pluginUsers), Images: []string{filepath.Join(system, "dllhost.exe")}}
}

func checkEndpoint(endpoint string) error {
	// 256 characters are the limit of CreateNamedPipe. A name on another host,
	// \\host\pipe\..., is none of ours.
	if len(endpoint) <= len(pipePrefix) || !strings.EqualFold(endpoint[:len(pipePrefix)], pipePrefix) || len(endpoint) > 256 {
		return fmt.Errorf(`endpoint %q: %w: it must be the name of a local pipe, \\.\pipe\..., of at most 256 bytes`, endpoint, fault.ErrMalformed)
	}
	return nil
}

func listen(a Audience, endpoint string) (net.Listener, func() error, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, nil, err
	}
	// Asked first, because Windows answers alike for a name that is taken and
	// for one that may not be created. Whoever takes it in between makes the
	// creation fail, as go-winio's first instance must be the name's first.
	if taken(endpoint) {
		return nil, nil, fmt.Errorf("%s: %w: another agent, or somebody else, serves it", endpoint, fault.ErrUnavailable)
	}
	inner, err := winio.ListenPipe(endpoint, &winio.PipeConfig{ // go-winio refuses remote clients
		SecurityDescriptor: sddl(a),
		InputBufferSize:    pipeBuffer,
		OutputBufferSize:   pipeBuffer,
	})
	switch {
	case err == nil:
		return inner, inner.Close, nil
	case errors.Is(err, windows.ERROR_ACCESS_DENIED), errors.Is(err, windows.ERROR_INVALID_OWNER):
		return nil, nil, fmt.Errorf("%s: %w: creating it takes SYSTEM or an elevated administrator: %w", endpoint, fault.ErrDenied, err)
	}
	return nil, nil, fmt.Errorf("%s: %w: %w", endpoint, fault.ErrUnavailable, err)
}

// taken says whether the pipe exists, without connecting to it.
func taken(endpoint string) bool {
	name, err := windows.UTF16PtrFromString(endpoint)
	if err != nil {
		return false
	}
	err = waitNamedPipe(name, 1)
	return err == nil || errors.Is(err, windows.ERROR_SEM_TIMEOUT) // there, with or without a free instance
}

func dial(ctx context.Context, a Audience, endpoint string) (net.Conn, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, err
	}
	conn, err := connect(ctx, a, endpoint)
	if err != nil {
		kind := fault.ErrUnavailable
		if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			kind = fault.ErrDenied
		}
		return nil, fmt.Errorf("%s: %w: %w", endpoint, kind, err)
	}
	if err := trustServer(conn, endpoint); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// connect opens the pipe. The control channel's connections are watched and
// closed by other goroutines than the one that reads, which go-winio's bear.
func connect(ctx context.Context, a Audience, endpoint string) (net.Conn, error) {
	if a == Plugin {
		conn, err := openPipe(ctx, endpoint)
		if err != nil {
			return nil, err // and no connection, which a nil pointer in an interface would be
		}
		return conn, nil
	}
	// At identification level the agent can see who calls and can do nothing in
	// the caller's name; go-winio's default, anonymous, hides the caller.
	return winio.DialPipeAccessImpLevel(ctx, endpoint, pipeCallRights, winio.PipeImpLevelIdentification)
}

// trustServer looks at the pipe's owner, which says who created the name, and
// at the server's process.
//
// The owner decides. The process is looked at as well where the caller may: an
// ordinary service account (CCG's plugin host may be one) is not let into a
// process of SYSTEM, and that it is refused by one is no reason to distrust it.
func trustServer(conn net.Conn, endpoint string) error {
	pipe, err := handleOf(conn)
	if err != nil {
		return &UntrustedServerError{endpoint, err.Error()}
	}
	sd, err := windows.GetSecurityInfo(pipe, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return &UntrustedServerError{endpoint, "its owner cannot be told: " + err.Error()}
	}
	owner, _, err := sd.Owner()
	if err != nil || owner == nil {
		return &UntrustedServerError{endpoint, "it has no owner"}
	}
	var pid uint32
	unknown := windows.GetNamedPipeServerProcessId(pipe, &pid)
	if sid := owner.String(); !slices.Contains(pipeOwners, sid) {
		if unknown != nil {
			return &UntrustedServerError{endpoint, "it belongs to " + sid}
		}
		return &UntrustedServerError{endpoint, fmt.Sprintf("it belongs to %s, and its process is %d", sid, pid)}
	}
	if unknown != nil {
		return &UntrustedServerError{endpoint, "its process cannot be told: " + unknown.Error()}
	}
	user, groups, err := processIdentity(pid)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return nil
	}
	if err != nil {
		return &UntrustedServerError{endpoint, fmt.Sprintf("its process %d cannot be looked at: %v", pid, err)}
	}
	if user != sidSystem && !slices.Contains(groups, sidAdministrators) {
		return &UntrustedServerError{endpoint, fmt.Sprintf("its process %d runs as %s, which is no administrator", pid, user)}
	}
	return nil
}

// handleOf is the pipe's handle; it stays the connection's.
func handleOf(conn net.Conn) (windows.Handle, error) {
	f, ok := conn.(interface{ Fd() uintptr })
	if !ok {
		return 0, fmt.Errorf("a %T has no handle", conn)
	}
	return windows.Handle(f.Fd()), nil
}
