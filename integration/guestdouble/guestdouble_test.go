package guestdouble

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"testing"
)

func dial(t *testing.T, g *Guest, service string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", g.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "vm-1 %s\n", service); err != nil {
		t.Fatal(err)
	}
	return conn
}

func start(t *testing.T) *Guest {
	t.Helper()
	g, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// ask sends a request as hcsshim's bridge does and returns its answer.
func ask(t *testing.T, conn net.Conn, proc uint32, document string) (answer map[string]any) {
	t.Helper()
	frame := binary.LittleEndian.AppendUint32(nil, 0x10100000|proc)
	frame = binary.LittleEndian.AppendUint32(frame, uint32(16+len(document)))
	frame = binary.LittleEndian.AppendUint64(frame, 7)
	if _, err := conn.Write(append(frame, document...)); err != nil {
		t.Fatal(err)
	}
	var head [16]byte
	r := bufio.NewReader(conn)
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal(err)
	}
	if kind, id := binary.LittleEndian.Uint32(head[0:]), binary.LittleEndian.Uint64(head[8:]); kind != 0x20100000|proc || id != 7 {
		t.Errorf("type %#x, id %d", kind, id)
	}
	data := make([]byte, binary.LittleEndian.Uint32(head[4:])-16)
	if _, err := io.ReadFull(r, data); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestTheBridgeIsAnsweredAndRecorded(t *testing.T) {
	g := start(t)
	conn := dial(t, g, "ACEF5661-84A1-4E44-856B-6245E69F4620")
	if a := ask(t, conn, 0xb01, `{"ContainerId":"","MinimumVersion":4,"MaximumVersion":4}`); a["Version"] != 4.0 {
		t.Errorf("negotiation: %v", a)
	}
	if a := ask(t, conn, 0x101, `{"ContainerId":"c1","ContainerConfig":"{\"Container\":{}}"}`); a["Result"] != 0.0 {
		t.Errorf("create: %v", a)
	}
	if a := ask(t, conn, 0x501, `{"ContainerId":"c1"}`); a["Result"] != float64(notImplemented) {
		t.Errorf("a process: %v", a)
	}
	all := g.Messages()
	if len(all) != 3 || all[1].Proc != "Create" || all[1].ID != "c1" || all[1].VM != "vm-1" {
		t.Fatalf("messages: %+v", all)
	}
	if config, err := all[1].Config(); err != nil || string(config) != `{"Container":{}}` {
		t.Errorf("config %s, %v", config, err)
	}
}

func TestOtherServicesAndBrokenFramesEndTheConnection(t *testing.T) {
	g := start(t)
	broken := dial(t, g, bridgeService)
	if _, err := broken.Write(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{dial(t, g, "00000001-facb-11e6-bd58-64006a7986d3"), broken} {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("it is answered")
		}
	}
}
