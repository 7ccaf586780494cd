package netlab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Network is a network namespace with nothing in it but loopback.
type Network struct {
	namespace *os.File
	hosts     string // a file, what the program finds as /etc/hosts

	mu        sync.Mutex
	names     []string // lines of it
	addresses []netip.Addr
	ways      []*Way
}

// Ready says why there can be no networks; nil when there can.
func Ready() error {
	if os.Geteuid() != 0 {
		return errors.New("a network namespace takes root")
	}
	return nil
}

// New makes a network. Close it when it is done with.
func New() (_ *Network, err error) {
	n := &Network{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a network: %w", err), n.Close())
		}
	}()
	f, err := os.CreateTemp("", "gmsa-hosts-")
	if err != nil {
		return nil, err
	}
	n.hosts = f.Name()
	if err := f.Close(); err != nil {
		return nil, err
	}
	n.Name("localhost", netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	return n, onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if n.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return configure("lo", func(fd int, r *unix.Ifreq) error {
			r.SetUint16(unix.IFF_UP)
			return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
		})
	})
}

// onThread runs f on an operating system's thread that ends with it, whatever
// namespace f has taken the thread to.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// inside runs f in the network.
func (n *Network) inside(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// configure changes a network interface of the thread's namespace.
func configure(name string, change func(fd int, r *unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	return change(fd, r)
}

// Name has a name stand for an IPv4 address in the network, for programs that
// are started after this.
func (n *Network) Name(name string, to netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names = append(n.names, to.String()+" "+name+"\n")
}

// Forward has an IPv4 address and port of the network lead to one of the
// machine.
func (n *Network) Forward(at netip.AddrPort, to string) (*Way, error) {
	w := &Way{network: n, at: at, to: to, open: map[net.Conn]struct{}{}}
	if err := errors.Join(n.have(at.Addr()), w.Mend()); err != nil {
		return nil, fmt.Errorf("forward %s to %s: %w", at, to, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ways = append(n.ways, w)
	return w, nil
}

// have gives the network an address, unless it has it. All of 127.0.0.0/8 is
// loopback's.
func (n *Network) have(a netip.Addr) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a.IsLoopback() || slices.Contains(n.addresses, a) {
		return nil
	}
	err := n.inside(func() error {
		return configure(fmt.Sprintf("lo:%d", len(n.addresses)+1), func(fd int, r *unix.Ifreq) error {
			ip := a.As4()
			if err := r.SetInet4Addr(ip[:]); err != nil {
				return err
			}
			return unix.IoctlIfreq(fd, unix.SIOCSIFADDR, r)
		})
	})
	if err == nil {
		n.addresses = append(n.addresses, a)
	}
	return err
}

// Command returns the command line that runs a program in the network, with the
// names that the network has now. The process is the program itself.
func (n *Network) Command(path string, args ...string) (string, []string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := os.WriteFile(n.hosts, []byte(strings.Join(n.names, "")), 0o600); err != nil {
		return "", nil, err
	}
	namespace := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), n.namespace.Fd())
	const mounted = `mount --bind "$0" /etc/hosts && exec "$@"`
	command := []string{namespace, "--", "/usr/bin/unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", mounted, n.hosts, path}
	return "/usr/bin/nsenter", append(command, args...), nil
}

// Close breaks every way. The network goes with the last program in it.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.ways {
		w.Cut()
	}
	var err error
	if n.namespace != nil {
		err = n.namespace.Close()
	}
	if n.hosts != "" {
		err = errors.Join(err, os.Remove(n.hosts))
	}
	return err
}
