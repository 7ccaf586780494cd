package lab

import "net"

// Address returns an address on this host, 127.0.0.1:PORT, on which nobody
// listens, for a server that can't choose its port and say which. Somebody else
// may take it first: a server that ends for that reason is started again on
// another one.
func Address() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
