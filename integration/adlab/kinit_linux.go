package adlab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Kinit has MIT Kerberos' kinit write a ticket-granting ticket of the user to a
// credential cache, which is a file.
func (d *Domain) Kinit(ctx context.Context, u User, cache string) error {
	return d.mit(ctx, u.Password, "kinit", "-c", "FILE:"+cache, u.Name+"@"+d.Realm)
}

// Kvno has MIT Kerberos' kvno get tickets to services with the ticket-granting
// ticket in one credential cache, and write them alone to another.
func (d *Domain) Kvno(ctx context.Context, from, to string, services ...string) error {
	return d.mit(ctx, nil, "kvno", append([]string{"-c", "FILE:" + from, "--out-cache", "FILE:" + to}, services...)...)
}

// mit runs a program of MIT Kerberos with a configuration of its own: the
// machine's knows nothing of the lab's domains.
func (d *Domain) mit(ctx context.Context, stdin []byte, program string, args ...string) (err error) {
	dir, err := os.MkdirTemp("", "adlab-krb5-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	conf := fmt.Sprintf("[libdefaults]\n default_realm = %[1]s\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n[realms]\n %[1]s = {\n  kdc = %[2]s\n }\n", d.Realm, d.IP)
	file := filepath.Join(dir, "krb5.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KRB5_CONFIG="+file, "LC_ALL=C")
	cmd.Stdin = strings.NewReader(string(stdin) + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return nil
}
