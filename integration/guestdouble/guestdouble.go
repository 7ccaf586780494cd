// Package guestdouble is a double of the guest compute service (GCS), which
// makes the containers in a utility VM: it answers hcsshim's bridge and records
// what it is sent.
//
// Real is what hcsshim sends. Invented are the answers, which succeed, and how
// the two are connected: the VM's guest dials an HvSocket of the host, and the
// shim of the lab, which has no such sockets, dials the double over TCP and says
// first which socket it listens on ("VM-id service-id\n").
//
// The bridge's frames are those of hcsshim's internal/gcs/prot: type, size and
// message id, 16 bytes little-endian, and a JSON document.
package guestdouble

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
)

// Message is a request that the double was sent.
type Message struct {
	VM       string          // the VM's GUID
	Proc     string          // "Create", "ModifySettings", …
	ID       string          // of the container; the null GUID for the VM itself
	Document json.RawMessage // the whole message
}

// Config is the document of a Create message, which stands in it as a string.
func (m Message) Config() ([]byte, error) {
	var create struct{ ContainerConfig string }
	err := json.Unmarshal(m.Document, &create)
	return []byte(create.ContainerConfig), err
}

// Guest is a running double, of all VMs of a lab.
type Guest struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]bool // nil: closed
	messages []Message
}

// Start starts a double. The caller closes it.
func Start() (*Guest, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &Guest{listener: l, conns: map[net.Conn]bool{}}
	g.wg.Go(g.accept)
	return g, nil
}

// Addr is where the shim finds it.
func (g *Guest) Addr() string { return g.listener.Addr().String() }

// Close ends all connections, as the end of their VMs does.
func (g *Guest) Close() error {
	err := g.listener.Close()
	g.mu.Lock()
	for c := range g.conns {
		err = errors.Join(err, c.Close())
	}
	g.conns = nil
	g.mu.Unlock()
	g.wg.Wait()
	return err
}

// Messages are what it was sent so far.
func (g *Guest) Messages() []Message {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.messages)
}

func (g *Guest) accept() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		closed := g.conns == nil
		if !closed {
			g.conns[conn] = true
			g.wg.Go(func() { g.serve(conn) })
		}
		g.mu.Unlock()
		if closed {
			_ = conn.Close()
		}
	}
}

func (g *Guest) serve(conn net.Conn) {
	defer func() {
		g.mu.Lock()
		delete(g.conns, conn)
		g.mu.Unlock()
		_ = conn.Close()
	}()
	r := bufio.NewReader(conn)
	hello, err := r.ReadString('\n')
	if err != nil {
		return
	}
	vm, service, _ := strings.Cut(strings.TrimSpace(hello), " ")
	if !strings.EqualFold(service, bridgeService) {
		return // a stream of a process, which there is none
	}
	for {
		m, id, proc, err := read(r)
		if err != nil {
			return
		}
		m.VM = vm
		g.mu.Lock()
		g.messages = append(g.messages, m)
		g.mu.Unlock()
		if err := write(conn, proc, id, answer(m)); err != nil {
			return
		}
	}
}

// bridgeService is the HvSocket service that Windows' guest dials (hcsshim's
// prot.WindowsGcsHvsockServiceID).
const bridgeService = "acef5661-84a1-4e44-856b-6245e69f4620"

// Frames.
const (
	header   = 16
	request  = 0x10100000
	response = 0x20100000
	mask     = 0xfff00000
	maxSize  = 16 << 20
)

// procs are the bridge's calls, in the order of their numbers (0x101, 0x201, …).
var procs = []string{
	"Create", "Start", "ShutdownGraceful", "ShutdownForced", "ExecuteProcess", "WaitForProcess", "SignalProcess", "ResizeConsole",
	"GetProperties", "ModifySettings", "NegotiateProtocol", "DumpStacks", "DeleteContainerState", "UpdateContainer", "LifecycleNotification",
}

func read(r io.Reader) (m Message, id uint64, proc uint32, err error) {
	var head [header]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return m, 0, 0, err
	}
	kind, size := binary.LittleEndian.Uint32(head[0:]), binary.LittleEndian.Uint32(head[4:])
	id, proc = binary.LittleEndian.Uint64(head[8:]), kind&^mask
	if kind&mask != request || size < header || size > maxSize {
		return m, 0, 0, fmt.Errorf("a frame of type %#x and %d bytes", kind, size)
	}
	m.Document = make([]byte, size-header)
	if _, err := io.ReadFull(r, m.Document); err != nil {
		return m, 0, 0, err
	}
	m.Proc = fmt.Sprintf("%#x", proc)
	if n := int(proc>>8) - 1; proc&0xff == 1 && n >= 0 && n < len(procs) {
		m.Proc = procs[n]
	}
	var base struct {
		ContainerID string `json:"ContainerId"`
	}
	err = json.Unmarshal(m.Document, &base)
	m.ID = base.ContainerID
	return m, id, proc, err
}

func write(w io.Writer, proc uint32, id uint64, document any) error {
	data, err := json.Marshal(document)
	if err != nil {
		return err
	}
	frame := binary.LittleEndian.AppendUint32(nil, response|proc)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(header+len(data)))
	frame = binary.LittleEndian.AppendUint64(frame, id)
	_, err = w.Write(append(frame, data...))
	return err
}

// notImplemented is E_NOTIMPL as the bridge's signed results have it.
const notImplemented = -0x7fffbfff

// answer is what the guest says; nothing is ever done.
func answer(m Message) any {
	switch m.Proc {
	case "NegotiateProtocol":
		return map[string]any{"Result": 0, "Version": 4, "Capabilities": map[string]any{
			"SendHostCreateMessage": true, "SendHostStartMessage": true, "RuntimeOsType": "Windows",
			"GuestDefinedCapabilities": map[string]any{
				"NamespaceAddRequestSupported": true, "SignalProcessSupported": true, "DumpStacksSupported": false, "DeleteContainerStateSupported": true,
			},
		}}
	case "GetProperties":
		return map[string]any{"Result": 0, "Properties": `{"SystemType":"Container","SystemGUID":"5b8c7a5e-6a0a-4f3c-8a0e-3a1d2a9b7c10"}`}
	case "ExecuteProcess", "WaitForProcess", "SignalProcess", "ResizeConsole":
		return map[string]any{"Result": notImplemented, "ErrorMessage": "no process runs in a double"}
	}
	return map[string]any{"Result": 0}
}
