package channel

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/windows"
)

// process holds a peer's process by a handle; 0 is none.
type process struct{ handle windows.Handle }

func (p *process) alive() bool {
	if p.handle == 0 {
		return false
	}
	// A process becomes signalled when it ends.
	event, err := windows.WaitForSingleObject(p.handle, 0)
	return err == nil && event == uint32(windows.WAIT_TIMEOUT)
}

func (p *process) close() {
	if p.handle != 0 {
		_ = windows.CloseHandle(p.handle)
		p.handle = 0
	}
}

// identify asks Windows who connected. Two answers that are independent of
// each other must agree: the token with which the pipe was opened, and the
// process whose number the pipe noted. A number can be given to another
// process after the caller passed the connection on and ended; then the user
// or the logon session is another, or the caller is already of the very
// account and session that the allowed program runs in.
func identify(conn net.Conn) (*Peer, error) {
	pipe, err := handleOf(conn)
	if err != nil {
		return nil, unidentified("the pipe", err)
	}
	p, err := peerProcess(pipe)
	if err != nil {
		return nil, unidentified("the caller's process", err)
	}
	if err := p.setIdentity(pipe); err != nil {
		p.close()
		return nil, unidentified(fmt.Sprintf("process %d", p.PID), err)
	}
	if !p.process.alive() {
		p.close()
		return nil, unidentified(fmt.Sprintf("process %d", p.PID), errors.New("it has ended"))
	}
	return p, nil
}

// peerProcess opens the caller's process. Its handle comes first: everything
// later is asked of the handle, and the number is confirmed by it.
func peerProcess(pipe windows.Handle) (*Peer, error) {
	var pid uint32
	if err := windows.GetNamedPipeClientProcessId(pipe, &pid); err != nil {
		return nil, fmt.Errorf("number: %w", err)
	}
	handle, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, pid)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	p := &Peer{PID: int(pid), process: process{handle}}
	if p.Image, err = imageOf(handle); err != nil {
		p.close()
		return nil, fmt.Errorf("program of process %d: %w", pid, err)
	}
	return p, nil
}

func (p *Peer) setIdentity(pipe windows.Handle) error {
	client, err := clientToken(pipe)
	if err != nil {
		return err
	}
	defer client.Close()
	var own windows.Token
	if err := windows.OpenProcessToken(p.process.handle, windows.TOKEN_QUERY, &own); err != nil {
		return fmt.Errorf("open process token: %w", err)
	}
	defer own.Close()

	if p.User, p.Groups, err = tokenIdentity(client); err != nil {
		return err
	}
	ownUser, err := own.GetTokenUser()
	if err != nil {
		return fmt.Errorf("token user: %w", err)
	}
	if user := ownUser.User.Sid.String(); user != p.User {
		return fmt.Errorf("it runs as %s and the pipe was opened as %s", user, p.User)
	}
	clientSession, err := logonSession(client)
	if err != nil {
		return err
	}
	ownSession, err := logonSession(own)
	if err != nil {
		return err
	}
	if clientSession != ownSession {
		return errors.New("it is of another logon session than who opened the pipe")
	}
	return nil
}

// imageOf is the Win32 path of a process's program.
func imageOf(process windows.Handle) (string, error) {
	for size := uint32(windows.MAX_PATH); ; size *= 2 {
		buf := make([]uint16, size)
		n := size
		err := windows.QueryFullProcessImageName(process, 0, &buf[0], &n)
		if err == nil {
			return windows.UTF16ToString(buf[:n]), nil
		}
		if !errors.Is(err, windows.ERROR_INSUFFICIENT_BUFFER) || size > windows.MAX_LONG_PATH {
			return "", err
		}
	}
}
