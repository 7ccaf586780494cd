package channel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// maxSocketPath is what fits sockaddr_un's sun_path with its final zero.
const maxSocketPath = 107

// defaultEndpoint of the gate is where dockerd looks for plugins; the socket's name
// is the plugin's.
func defaultEndpoint(a Audience) string {
	if a == Gate {
		return "/run/docker/plugins/gmsa-agent.sock"
	}
	return "/run/gmsa-agent/" + a.String() + ".sock"
}

func sameImage(a, b string) bool { return filepath.Clean(a) == filepath.Clean(b) }

func defaultAllow(Audience) Allow {
	users := []string{uid(0)}
	if own := os.Geteuid(); own != 0 {
		users = append(users, uid(own))
	}
	return Allow{Users: users}
}

func uid[N int | uint32](n N) string { return "uid:" + strconv.FormatInt(int64(n), 10) }

func checkEndpoint(endpoint string) error {
	switch {
	case !filepath.IsAbs(endpoint):
		return fmt.Errorf("endpoint %q: %w: it must be the absolute path of a socket", endpoint, fault.ErrMalformed)
	case len(endpoint) > maxSocketPath:
		return fmt.Errorf("endpoint %q: %w: it has %d bytes, a socket's path has at most %d", endpoint, fault.ErrMalformed, len(endpoint), maxSocketPath)
	}
	return nil
}

func listen(_ Audience, endpoint string) (net.Listener, func() error, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, nil, err
	}
	folder, name := filepath.Split(filepath.Clean(endpoint))
	if err := ensureFolder(folder); err != nil {
		return nil, nil, err
	}
	lock, err := lockEndpoint(endpoint)
	if err != nil {
		return nil, nil, err
	}
	inner, err := publish(folder, name)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", endpoint, err), lock.Close())
	}
	return inner, func() error {
		// While the lock is held the socket at the path is ours.
		return errors.Join(os.Remove(endpoint), inner.Close(), lock.Close())
	}, nil
}

// ensureFolder makes the socket's folder if it is missing, and refuses one in
// which somebody else could put a socket in the place of ours.
func ensureFolder(folder string) error {
	if err := os.MkdirAll(folder, socketFolderMode); err != nil {
		return fmt.Errorf("the socket's folder: %w: %w", fault.ErrDenied, err)
	}
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("the socket's folder: %w: %w", fault.ErrUnavailable, err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner != 0 && owner != uint32(os.Geteuid()) {
		return fmt.Errorf("the socket's folder %s: %w: it belongs to %s", folder, fault.ErrDenied, uid(owner))
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("the socket's folder %s: %w: others than its owner may write to it (mode %#o)", folder, fault.ErrDenied, info.Mode().Perm())
	}
	return nil
}

// lockEndpoint tells a live agent from what a dead one left behind: the kernel
// drops the lock with its holder, however that ended. The lock's file stays.
func lockEndpoint(endpoint string) (*os.File, error) {
	lock, err := os.OpenFile(endpoint+".lock", os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, socketMode)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", endpoint, fault.ErrDenied, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%s: %w: another agent serves it", endpoint, fault.ErrUnavailable)
	}
	return lock, nil
}

// publish creates the socket out of everybody's reach, gives it its mode, and
// only then moves it to its name, over a dead agent's.
func publish(folder, name string) (net.Listener, error) {
	if info, err := os.Lstat(filepath.Join(folder, name)); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("%w: there is something that is not a socket", fault.ErrDenied)
	}
	stages, err := filepath.Glob(filepath.Join(folder, "."+name+".*"))
	if err != nil {
		return nil, err
	}
	for _, stage := range stages { // of an agent that died in the middle of this
		if err := os.RemoveAll(stage); err != nil {
			return nil, err
		}
	}
	stage, err := os.MkdirTemp(folder, "."+name+".") // mode 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(stage)
	dir, err := os.Open(stage)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// Through the descriptor, because the stage's path may be too long for a socket.
	short := fmt.Sprintf("/proc/self/fd/%d/s", dir.Fd())
	inner, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	inner.SetUnlinkOnClose(false)
	if err := os.Chmod(short, socketMode); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	if err := os.Rename(filepath.Join(stage, "s"), filepath.Join(folder, name)); err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return named{inner, net.UnixAddr{Name: filepath.Join(folder, name), Net: "unix"}}, nil
}

// named is a listener that knows the name it was moved to.
type named struct {
	*net.UnixListener
	addr net.UnixAddr
}

func (n named) Addr() net.Addr { return &n.addr }

func dial(ctx context.Context, _ Audience, endpoint string) (net.Conn, error) {
	if err := checkEndpoint(endpoint); err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", endpoint)
	if err != nil {
		kind := fault.ErrUnavailable
		if errors.Is(err, fs.ErrPermission) {
			kind = fault.ErrDenied
		}
		return nil, fmt.Errorf("%s: %w: %w", endpoint, kind, errors.Join(err, ctx.Err()))
	}
	if err := trustServer(conn, endpoint); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func trustServer(conn net.Conn, endpoint string) error {
	var cred *unix.Ucred
	err := withFd(conn, func(fd int) (err error) {
		cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err != nil {
		return &UntrustedServerError{endpoint, "its user cannot be told: " + err.Error()}
	}
	if cred.Uid != 0 && cred.Uid != uint32(os.Geteuid()) {
		return &UntrustedServerError{endpoint, fmt.Sprintf("its process %d runs as %s", cred.Pid, uid(cred.Uid))}
	}
	return nil
}

// withFd lends the connection's descriptor to f.
func withFd(conn net.Conn, f func(fd int) error) error {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return fmt.Errorf("a %T has no descriptor", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
