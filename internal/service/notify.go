package service

import (
	"net"
	"os"
	"strings"
)

// NotifyReady tells systemd that the service is ready (sd_notify(3)). Where it
// was not systemd that started it, it does nothing.
func NotifyReady() error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	if name, abstract := strings.CutPrefix(address, "@"); abstract {
		address = "\x00" + name
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the datagram is sent, or not
	_, err = conn.Write([]byte("READY=1"))
	return err
}
