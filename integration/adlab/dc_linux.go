package adlab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"text/template"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

var (
	//go:embed dc.sh
	dcScript string
	//go:embed smb.conf
	smbConf string
)

// dc is a domain controller's process.
type dc struct {
	*lab.Process
	ip     netip.Addr
	dir    string
	caFile string
	admin  []byte
}

// tcpPorts are DNS, Kerberos, LDAP and LDAPS.
var tcpPorts = []uint16{53, 88, 389, 636}

// stopGrace is ample: Samba takes about a second to end.
const stopGrace = lab.StopGrace

func startDC(ctx context.Context, runDir string, r recipe, ip netip.Addr, ahead time.Duration) (*dc, error) {
	version, err := sambaVersion()
	if err != nil {
		return nil, err
	}
	archive := r.archive(version)
	p := &dc{ip: ip, dir: filepath.Join(runDir, ip.String())}
	p.caFile = filepath.Join(p.dir, "tls", "ca.pem")
	if p.admin, err = os.ReadFile(filepath.Join(archive, adminFile)); err != nil {
		return nil, err
	}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return nil, err
	}
	server := lab.ServerTemplate([]string{r.fqdn(), r.DNSName}, ip.AsSlice())
	if err := lab.WriteTLS(filepath.Join(p.dir, "tls"), r.NetBIOS+" lab CA", server); err != nil {
		return nil, err
	}
	if err := writeConf(filepath.Join(p.dir, "smb.conf"), r, ip); err != nil {
		return nil, err
	}
	// A server that is there already would answer in place of ours. The
	// kernel may still be ending the domain controller of a killed lab.
	freeCtx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if err := lab.WaitFor(freeCtx, "the address "+ip.String(), func(context.Context) error { return free(ip) }); err != nil {
		return nil, err
	}
	state, err := os.Open(filepath.Join(archive, stateFile))
	if err != nil {
		return nil, err
	}
	defer state.Close() //nolint:errcheck // only read; the child has its own descriptor
	env := os.Environ()
	if ahead != 0 {
		lib, err := faketime()
		if err != nil {
			return nil, err
		}
		env = append(env, "FAKETIME_LIB="+lib, fmt.Sprintf("FAKETIME=%+ds", int(ahead.Seconds())))
	}
	log := lab.Cache("ad", ip.String()+".log")
	if err := os.RemoveAll(log); err != nil { // the last run's
		return nil, err
	}
	p.Process, err = lab.Start(lab.Options{
		Path: "/bin/sh", Args: []string{"-c", dcScript, "dc", p.dir}, Env: env, Stdin: state,
		Log: log, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
	})
	return p, err
}

func writeConf(path string, r recipe, ip netip.Addr) error {
	t, err := template.New("smb.conf").Parse(smbConf)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(t.Execute(f, map[string]any{
		"Host": r.Host, "Realm": r.realm(), "NetBIOS": r.NetBIOS, "IP": ip,
	}), f.Close())
}

// free says whether something has one of the domain controller's ports.
func free(ip netip.Addr) error {
	for _, port := range tcpPorts {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
		if err != nil {
			return err
		}
		if err := l.Close(); err != nil {
			return err
		}
	}
	return nil
}

// faketime finds the library that shifts a process's clock.
func faketime() (string, error) {
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("the package libfaketime has no libfaketimeMT.so.1")
	}
	return found[0], nil
}

// answers says whether every port is open.
func (p *dc) answers(ctx context.Context) error {
	for _, port := range tcpPorts {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(p.ip.String(), strconv.Itoa(int(port))))
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (p *dc) stop() error {
	// The process is the first of its namespace: with it the kernel ends all others.
	return errors.Join(p.Stop(stopGrace), os.RemoveAll(p.dir))
}
