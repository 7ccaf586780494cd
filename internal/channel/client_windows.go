package channel

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/windows"
)

// clientPipe is a client's end of a pipe for a question and its answer. What it
// does, it does on its caller's thread, on which it also waits for the pipe;
// go-winio's connections hand each operation to a thread of their own and back.
// The plugin's callers are threads of COM, sixteen at a time on a busy host, so
// that this halves what a redemption costs in the plugin's host.
//
// It is one goroutine's at a time.
type clientPipe struct {
	endpoint string
	handle   windows.Handle
	// state is what Windows writes to while an operation is pending. It lies
	// behind a pointer, and so does not move.
	state    *windows.Overlapped
	deadline time.Time
}

// sqosIdentification are SECURITY_SQOS_PRESENT and SECURITY_IDENTIFICATION: the
// agent can see who calls and can do nothing in the caller's name.
//
// https://learn.microsoft.com/windows/win32/api/fileapi/nf-fileapi-createfilew
const sqosIdentification = 0x00100000 | 0x00010000

// busyWait is how long a wait for a free instance lasts before the context is
// looked at.
const busyWait = 100 * time.Millisecond

// openPipe connects to a pipe, waiting for room until ctx ends.
func openPipe(ctx context.Context, endpoint string) (*clientPipe, error) {
	name, err := windows.UTF16PtrFromString(endpoint)
	if err != nil {
		return nil, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, err := windows.CreateFile(name, pipeCallRights, 0, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OVERLAPPED|sqosIdentification, 0)
		if err == nil {
			return newClientPipe(endpoint, h)
		}
		if !errors.Is(err, windows.ERROR_PIPE_BUSY) {
			return nil, err
		}
		// Whatever comes of it, the next try tells.
		_ = waitNamedPipe(name, uint32(max(1, min(busyWait, untilEnd(ctx)).Milliseconds())))
	}
}

func untilEnd(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end)
	}
	return busyWait
}

func newClientPipe(endpoint string, h windows.Handle) (*clientPipe, error) {
	event, err := windows.CreateEvent(nil, 1, 0, nil) // by hand: each operation resets it
	if err != nil {
		return nil, errors.Join(err, windows.CloseHandle(h))
	}
	return &clientPipe{endpoint: endpoint, handle: h, state: &windows.Overlapped{HEvent: event}}, nil
}

// do begins an operation and waits for its end, or for the deadline, which
// cancels it. Windows does not touch its memory any more when do returns.
func (p *clientPipe) do(begin func(*windows.Overlapped) error) (int, error) {
	if p.handle == windows.InvalidHandle {
		return 0, net.ErrClosed
	}
	wait := uint32(windows.INFINITE)
	if !p.deadline.IsZero() {
		left := time.Until(p.deadline)
		if left <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		wait = uint32(left.Milliseconds()) + 1
	}
	*p.state = windows.Overlapped{HEvent: p.state.HEvent}
	err := begin(p.state)
	if err != nil && !errors.Is(err, windows.ERROR_IO_PENDING) {
		return 0, err
	}
	late := false
	if err != nil {
		event, failed := windows.WaitForSingleObject(p.state.HEvent, wait)
		if late = failed != nil || event != windows.WAIT_OBJECT_0; late {
			_ = windows.CancelIoEx(p.handle, p.state) // it may have ended in this moment
		}
	}
	var n uint32
	err = windows.GetOverlappedResult(p.handle, p.state, &n, true)
	if late && errors.Is(err, windows.ERROR_OPERATION_ABORTED) {
		err = os.ErrDeadlineExceeded
	}
	return int(n), err
}

// Read implements net.Conn.
func (p *clientPipe) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := p.do(func(state *windows.Overlapped) error { return windows.ReadFile(p.handle, b, nil, state) })
	runtime.KeepAlive(b)
	if errors.Is(err, windows.ERROR_BROKEN_PIPE) || err == nil && n == 0 {
		return n, io.EOF
	}
	return n, err
}

// Write implements net.Conn.
func (p *clientPipe) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n, err := p.do(func(state *windows.Overlapped) error { return windows.WriteFile(p.handle, b[done:], nil, state) })
		runtime.KeepAlive(b)
		if err != nil {
			return done, err
		}
		done += n
	}
	return len(b), nil
}

// Close implements net.Conn.
func (p *clientPipe) Close() error {
	if p.handle == windows.InvalidHandle {
		return net.ErrClosed
	}
	err := errors.Join(windows.CloseHandle(p.handle), windows.CloseHandle(p.state.HEvent))
	p.handle = windows.InvalidHandle
	return err
}

// Fd is the pipe's handle; it stays the connection's.
func (p *clientPipe) Fd() uintptr { return uintptr(p.handle) }

// SetDeadline implements net.Conn.
func (p *clientPipe) SetDeadline(t time.Time) error {
	p.deadline = t
	return nil
}

// SetReadDeadline implements net.Conn; there is one deadline.
func (p *clientPipe) SetReadDeadline(t time.Time) error { return p.SetDeadline(t) }

// SetWriteDeadline implements net.Conn; there is one deadline.
func (p *clientPipe) SetWriteDeadline(t time.Time) error { return p.SetDeadline(t) }

// LocalAddr implements net.Conn.
func (p *clientPipe) LocalAddr() net.Addr { return pipeAddr(p.endpoint) }

// RemoteAddr implements net.Conn.
func (p *clientPipe) RemoteAddr() net.Addr { return pipeAddr(p.endpoint) }

// pipeAddr is a pipe's name.
type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }
