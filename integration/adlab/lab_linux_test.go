package adlab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// holdEnv makes the test binary start a lab, say so and wait to be killed.
const holdEnv = "ADLAB_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdEnv) != "" {
		hold()
	}
	os.Exit(m.Run())
}

func hold() {
	l, err := Start(context.Background(), Options{Domains: []string{"contoso.com"}, Wait: 5 * time.Minute})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("started", l.Contoso.IP)
	select {}
}

// start starts a lab for the test, after any other process's has ended.
func start(t *testing.T, domains ...string) *Lab {
	t.Helper()
	if err := Ready(); err != nil {
		t.Skip(err)
	}
	l, err := Start(t.Context(), Options{Domains: domains, Wait: 5 * time.Minute, Report: lab.Report(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func bind(ctx context.Context, d *Domain, u User) error {
	conn, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	return conn.Bind(u.Name+"@"+d.DNSName, string(u.Password))
}

func TestBothDomainsRunSideBySideAndLeaveNothing(t *testing.T) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	l := start(t)
	for _, d := range []*Domain{l.Contoso, l.Fabrikam} {
		for _, u := range []User{d.Plugin, d.Outsider} {
			if err := bind(t.Context(), d, u); err != nil {
				t.Errorf("%s at %s: %v", u, d.DNSName, err)
			}
		}
		doc, err := d.CredentialSpec(t.Context(), GMSA)
		if err != nil {
			t.Fatal(err)
		}
		var spec struct{ DomainJoinConfig map[string]string }
		if err := json.Unmarshal(doc, &spec); err != nil {
			t.Fatal(err)
		}
		if c := spec.DomainJoinConfig; c["DnsName"] != d.DNSName || c["NetBiosName"] != d.NetBIOS ||
			c["MachineAccountName"] != GMSA || !strings.HasPrefix(c["Sid"], "S-1-5-21-") || len(c["Guid"]) != 36 {
			t.Errorf("credential spec of %s: %s", d.DNSName, doc)
		}
	}
	if err := bind(t.Context(), l.Fabrikam, l.Contoso.Plugin); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("contoso's plugin user at fabrikam: %v", err)
	}
	pids := []int{l.Contoso.process.PID(), l.Fabrikam.process.PID()}
	if err := l.Stop(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("process %d after Stop: %v", pid, err)
		}
	}
	for _, r := range recipes {
		if err := free(r.IP); err != nil {
			t.Errorf("after Stop: %v", err)
		}
	}
	if after, err := os.ReadFile("/proc/self/mounts"); err != nil || string(after) != string(mounts) {
		t.Errorf("mounts before:\n%s\nafter:\n%s%v", mounts, after, err)
	}
	if _, err := os.Stat(lab.Cache("ad", "run")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("run folder after Stop: %v", err)
	}
}

func TestPasswordsAreNewAtEveryStart(t *testing.T) {
	first := start(t, "contoso.com")
	old := first.Contoso.Plugin
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	second := start(t, "contoso.com")
	if err := bind(t.Context(), second.Contoso, old); !ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("the last run's password: %v", err)
	}
}

func TestASecondLabSaysWhoHasTheFirst(t *testing.T) {
	start(t, "fabrikam.com")
	_, err := Start(t.Context(), Options{})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", os.Getpid())) {
		t.Errorf("Start beside a running lab: %v", err)
	}
}

func TestAForeignServerOnTheAddressIsNamed(t *testing.T) {
	if err := Ready(); err != nil {
		t.Skip(err)
	}
	held, err := lock(t.Context(), 5*time.Minute, lab.Report(t))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close() //nolint:errcheck // only a lock
	foreign, err := net.Listen("tcp", "127.0.10.2:389")
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close() //nolint:errcheck // a listener of this test
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = lab.WaitFor(ctx, "the address", func(context.Context) error { return free(recipes[1].IP) })
	if err == nil || !strings.Contains(err.Error(), "127.0.10.2:389") {
		t.Errorf("free = %v", err)
	}
}

func TestAKilledLabLeavesNoServerAndTheNextOneStarts(t *testing.T) {
	if err := Ready(); err != nil {
		t.Skip(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), holdEnv+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "started") {
		t.Fatalf("the child said %q, %v", line, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	lab.Eventually(t, "the killed lab's end", func(context.Context) error { return free(recipes[0].IP) })
	l := start(t, "contoso.com")
	if err := bind(t.Context(), l.Contoso, l.Contoso.Plugin); err != nil {
		t.Error(err)
	}
}

// The reason why nobody may take a simple bind for a check of a password.
func TestAStalePasswordStillBinds(t *testing.T) {
	d := start(t, "contoso.com").Contoso
	a, err := d.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	u, err := a.AddFlawed(t.Context(), "stale", StalePassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := bind(t.Context(), d, u); err != nil {
		t.Errorf("bind with the password before the last: %v", err)
	}
}

func TestAShiftedDomainControllerHasAnotherClockAndAddress(t *testing.T) {
	l := start(t, "fabrikam.com")
	const ahead = 10 * time.Minute
	d, err := l.Shifted(t.Context(), l.Fabrikam, ahead)
	if err != nil {
		t.Fatal(err)
	}
	if d.IP == l.Fabrikam.IP {
		t.Errorf("both are at %v", d.IP)
	}
	a, err := d.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	before := time.Now()
	root, err := a.one("", ldap.ScopeBaseObject, "(objectClass=*)", "currentTime")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := time.Parse("20060102150405.0Z", root.GetAttributeValue("currentTime"))
	if err != nil {
		t.Fatal(err)
	}
	if off := theirs.Sub(before); off < ahead/2 || off > 2*ahead {
		t.Errorf("its clock is %v ahead", off)
	}
}
