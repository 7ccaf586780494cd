// Command server is an agent without an agent behind it: it serves the plugin
// channel with the project's own channel and protocol, and answers as the
// token in the question says (package script).
//
//	server serve          its own user may call, with any program
//	server default        whom the agent serves by default may call
//	server squat          the pipe is somebody's who is no administrator
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/gmsa-agent/gmsa-agent/integration/pluginharness/script"
	"github.com/gmsa-agent/gmsa-agent/internal/channel"
	"github.com/gmsa-agent/gmsa-agent/internal/wire"
)

func main() {
	fmt.Fprintln(os.Stderr, "error:", run(os.Args[1:]))
	os.Exit(1)
}

// run serves until it is killed; it only ever returns an error.
func run(args []string) error {
	if len(args) != 1 {
		return errors.New("one argument is wanted: serve, default or squat")
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	var l net.Listener
	switch args[0] {
	case "serve":
		l, err = channel.Listen(channel.Plugin, "", channel.Allow{Users: []string{user.User.Sid.String()}})
	case "default":
		l, err = channel.Listen(channel.Plugin, "", channel.DefaultAllow(channel.Plugin))
	case "squat":
		l, err = winio.ListenPipe(channel.DefaultEndpoint(channel.Plugin), &winio.PipeConfig{
			SecurityDescriptor: "O:" + user.User.Sid.String() + "D:(A;;GA;;;WD)",
		})
	default:
		err = fmt.Errorf("%q is none of serve, default and squat", args[0])
	}
	if err != nil {
		return err
	}
	fmt.Println("serving")
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go serve(conn)
	}
}

func serve(conn net.Conn) {
	defer conn.Close()
	if err := answer(conn); err != nil {
		fmt.Println(err)
	}
}

func answer(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(2 * wire.RedeemTimeout)); err != nil {
		return err
	}
	token, err := wire.ReadRedeem(conn)
	if err != nil {
		return errors.Join(err, wire.WriteRefusal(conn, wire.CodeOf(err), err.Error()))
	}
	if c, ok := conn.(*channel.Conn); ok {
		if err := c.Authorize(); err != nil {
			fmt.Println("refused:", err)
			return wire.WriteRefusal(conn, wire.CodeDenied, err.Error())
		}
	}
	line, err := script.Line(token)
	if err != nil {
		return err
	}
	return play(conn, line, token)
}

func play(conn net.Conn, line, token string) error {
	raw := func(b string) error {
		_, err := io.WriteString(conn, b)
		return err
	}
	if number, ok := strings.CutPrefix(line, script.Refuse); ok {
		code, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return err
		}
		return wire.WriteRefusal(conn, wire.Code(code), "as the script says")
	}
	switch line {
	case script.Hang:
		_, err := io.Copy(io.Discard, conn)
		return err
	case script.CutOff:
		return nil
	case script.CutWithin:
		return raw("GMS\x01\x02\x00\x00\x00\x20\x00\x0bcont")
	case script.NotAFrame:
		return raw("HTTP/1.1 400 Bad Request\r\n\r\n")
	case script.Huge:
		return raw("GMS\x01\x02\xff\xff\xff\xff")
	case script.Trailing:
		return raw("GMS\x01\x02\x00\x00\x00\x0a\x00\x01d\x00\x01u\x00\x01p!")
	case script.NoPassword:
		return raw("GMS\x01\x02\x00\x00\x00\x08\x00\x01d\x00\x01u\x00\x00")
	case script.ANUL:
		return raw("GMS\x01\x02\x00\x00\x00\x0a\x00\x01d\x00\x02u\x00\x00\x01p")
	case script.NotText:
		return raw("GMS\x01\x02\x00\x00\x00\x09\x00\x01d\x00\x01u\x00\x01\xff")
	case script.Version:
		return raw("GMS\x02\x02\x00\x00\x00\x00")
	case script.Largest:
		return wire.WriteRelease(conn, wire.Release{
			Domain:   strings.Repeat("d", wire.MaxDomain),
			User:     strings.Repeat("u", wire.MaxUser),
			Password: []byte(strings.Repeat("ü", wire.MaxPassword/2)),
		})
	}
	// Everything else is released: a test has as many tokens as it likes.
	return wire.WriteRelease(conn, script.Answer(token))
}
