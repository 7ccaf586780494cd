package directory

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
)

const (
	// maxSealed is the largest message that we ask the server to send in one token.
	maxSealed = 0xffff
	// maxToken leaves room for a token's header, confounder, copy of the
	// header and checksum, and for a server that counts without them.
	maxToken = maxSealed + 256
)

// sealedConn carries LDAP in clear until the bind is over, and then in sealed
// wrap tokens, each after its length (RFC 4422 3.7).
type sealedConn struct {
	net.Conn

	mu    sync.Mutex
	wrap  *wrapper // nil until armed
	clear int      // writes that still go in clear after arming: the bind's last message
	begun bool     // a sealed write was made; what is received from then on is sealed

	// Of the reader alone: bytes of unfinished tokens, and what finished ones had.
	raw, opened []byte
}

// arm has all writes but the next one sealed: the bind's last message still
// goes, and is answered, in clear.
func (c *sealedConn) arm(w *wrapper) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrap, c.clear = w, 1
}

// Write sends p as one token.
func (c *sealedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrap == nil || c.clear > 0 {
		c.clear = max(0, c.clear-1)
		return c.Conn.Write(p)
	}
	c.begun = true
	token, err := c.wrap.encrypt(p)
	if err != nil {
		return 0, err
	}
	if _, err := c.Conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read returns what was sent, opened if it was sealed. The server speaks only
// when it is asked, so what arrives after the first sealed request is sealed.
func (c *sealedConn) Read(p []byte) (int, error) {
	buf := make([]byte, 8<<10)
	for len(c.opened) == 0 {
		n, err := c.Conn.Read(buf)
		if err != nil {
			return 0, err
		}
		c.mu.Lock()
		sealed := c.begun
		c.mu.Unlock()
		if !sealed {
			c.opened = buf[:n]
			continue
		}
		c.raw = append(c.raw, buf[:n]...)
		if err := c.open(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.opened)
	c.opened = c.opened[n:]
	return n, nil
}

// open opens the tokens that have arrived whole.
func (c *sealedConn) open() error {
	for len(c.raw) >= 4 {
		n := int64(binary.BigEndian.Uint32(c.raw))
		if n > maxToken {
			return fmt.Errorf("a sealed message of %d bytes", n)
		}
		if int64(len(c.raw)) < 4+n {
			return nil
		}
		plain, err := c.wrap.unwrap(c.raw[4 : 4+n])
		if err != nil {
			return err
		}
		c.opened = append(c.opened, plain...)
		c.raw = c.raw[4+n:]
	}
	return nil
}
