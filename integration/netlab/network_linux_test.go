package netlab

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// newNetwork makes a network in which the cloud's metadata service is a server
// of the test.
func newNetwork(t *testing.T) (*Network, *Way) {
	t.Helper()
	if err := Ready(); err != nil {
		t.Skip(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	t.Cleanup(server.Close)
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	metadata := netip.MustParseAddrPort("169.254.169.254:80")
	way, err := n.Forward(metadata, server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	n.Name("metadata.example", metadata.Addr())
	return n, way
}

// get asks the server inside of the network, as a test has sockets there.
func get(n *Network, timeout time.Duration) (string, error) {
	var text string
	err := n.inside(func() error {
		c, err := net.DialTimeout("tcp4", "169.254.169.254:80", timeout)
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // answered by then
		_ = c.SetDeadline(time.Now().Add(timeout))
		if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
			return err
		}
		b, err := io.ReadAll(c)
		text = string(b)
		return err
	})
	return text, err
}

func TestAnAddressOfTheNetworkLeadsToAServerOfTheTest(t *testing.T) {
	n, way := newNetwork(t)
	if text, err := get(n, time.Minute); err != nil || !strings.HasSuffix(text, "here") {
		t.Errorf("%q, %v", text, err)
	}
	way.Cut()
	if _, err := get(n, time.Minute); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("cut: %v", err)
	}
	if err := way.Mend(); err != nil {
		t.Fatal(err)
	}
	way.Hang()
	if _, err := get(n, 50*time.Millisecond); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("hung: %v", err)
	}
	if err := way.Mend(); err != nil {
		t.Fatal(err)
	}
	if text, err := get(n, time.Minute); err != nil || !strings.HasSuffix(text, "here") {
		t.Errorf("mended: %q, %v", text, err)
	}
}

func TestAProgramOfTheNetworkFindsItsNamesAndNoOtherNetwork(t *testing.T) {
	n, _ := newNetwork(t)
	path, args, err := n.Command("/bin/sh", "-c", "cat /etc/hosts /proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	// Each interface's name ends in a colon, and there is nothing but loopback.
	if text := string(out); err != nil || !strings.Contains(text, "169.254.169.254 metadata.example") || strings.Count(text, ":") != 1 {
		t.Errorf("%v: %s", err, text)
	}
}

func TestAWayIsMendedWhileProcessesAreStarted(t *testing.T) {
	_, way := newNetwork(t)
	end := make(chan struct{})
	var starting sync.WaitGroup
	starting.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				_ = exec.CommandContext(t.Context(), "/bin/true").Run() // only its fork matters
			}
		}
	})
	for range 100 {
		way.Cut()
		if err := way.Mend(); err != nil {
			t.Error(err)
			break
		}
	}
	close(end)
	starting.Wait()
}
