package channel

import (
	"errors"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// process holds a peer's process by its pidfd; 0 is none.
type process struct{ pidfd int }

func (p *process) alive() bool {
	if p.pidfd == 0 {
		return false
	}
	// A pidfd becomes readable when its process ends.
	fds := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err == nil && n == 0
	}
}

func (p *process) close() {
	if p.pidfd != 0 {
		_ = unix.Close(p.pidfd)
		p.pidfd = 0
	}
}

// identify asks the kernel who connected. The order matters: first the pidfd,
// which cannot come to mean another process; then what /proc says by number;
// then that the pidfd's process still lives, so that the number was its own
// all the while.
func identify(conn net.Conn) (*Peer, error) {
	var cred *unix.Ucred
	var pidfd int
	err := withFd(conn, func(fd int) (err error) {
		if cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
			return os.NewSyscallError("getsockopt SO_PEERCRED", err)
		}
		pidfd, err = openPeer(fd, int(cred.Pid))
		return err
	})
	if err != nil {
		return nil, unidentified("the socket", err)
	}
	p := &Peer{PID: int(cred.Pid), User: uid(cred.Uid), process: process{pidfd}}
	// Not every reader may see every process's program: then it stays empty,
	// and a list of allowed programs refuses it.
	p.Image, _ = os.Readlink("/proc/" + strconv.Itoa(p.PID) + "/exe")
	if !p.process.alive() {
		p.close()
		return nil, unidentified("the caller's process", errors.New("it has ended"))
	}
	return p, nil
}

// openPeer opens the peer's pidfd. Linux 6.5 gives the one of the process that
// connected. Before it, the process is opened by number, and one that ended
// and whose number was given away since connecting is not noticed; the user,
// which the kernel noted when connecting, is right all the same.
func openPeer(socket, pid int) (int, error) {
	pidfd, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err == nil {
		return pidfd, nil
	}
	if !errors.Is(err, unix.ENOPROTOOPT) {
		return 0, os.NewSyscallError("getsockopt SO_PEERPIDFD", err)
	}
	if pid == 0 {
		return 0, errors.New("its process is not of this PID namespace")
	}
	pidfd, err = unix.PidfdOpen(pid, 0)
	return pidfd, os.NewSyscallError("pidfd_open", err)
}
