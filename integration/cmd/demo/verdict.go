//go:build linux

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/chainlab"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// conclude checks every hop of every container and prints the table.
func (d *demo) conclude() error {
	d.chapter("Who became whom")
	rows := [][]string{{"container", "asked for", "started", "HCS got a credential spec", "plugin user", "ticket", "domain controller says"}}
	var errs []error
	for _, a := range d.askers {
		t := d.traces[a.id]
		for _, err := range d.check(a, t) {
			errs = append(errs, fmt.Errorf("%s: %w", a.id, err))
		}
		row := []string{a.id, orDash(a.reference), yes(d.ctrSaid[a.id] == nil), yes(!t.Created.IsZero()), "–", "–", "–"}
		if r := t.Report; r != nil && r.Principal != "" {
			row[4], row[5], row[6] = r.Domain+`\`+r.User, r.Principal, r.WhoAmI
		}
		rows = append(rows, row)
	}
	d.table(rows)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("not every hop happened:\n%w", err)
	}
	d.printf("\nEvery hop happened.\n")
	return nil
}

// check returns what should have been seen of a container and was not.
func (d *demo) check(a asker, t *chainlab.Trace) (errs []error) {
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	if a.domain == nil {
		must(t.Add == nil && t.CCG == nil && t.Created.IsZero(), "HCS was sent a credential spec")
		if a.refused == "" {
			must(t.Create != nil, "HCS was not asked to create it")
			must(len(t.Audit) == 0, "the agent has records of a container that asked for nothing")
			return errs
		}
		must(t.Create == nil, "HCS was asked to create it")
		must(t.Event(audit.AdmitRefused) != nil, "the agent has no record of the refusal")
		said := d.ctrSaid[a.id]
		must(said != nil && strings.Contains(said.Error(), a.refused), "ctr did not say why: %v", said)
		return errs
	}
	must(t.Event(audit.AdmitGranted) != nil, "the agent has no record of an admission")
	must(t.Add != nil, "no AddInstance")
	must(t.Create != nil, "HCS was not asked to create it")
	must(!t.Created.IsZero() && t.Created.Equal(t.Added), "ContainerCredentialGuard does not hold the document of AddInstance")
	must(t.Event(audit.RedeemReleased) != nil, "the agent has no record of a release")
	must(t.Remove != nil, "no RemoveInstance")
	must(t.Event(audit.GrantRevoked) != nil, "the agent has no record of a revocation")
	if t.Report == nil {
		return append(errs, errors.New("CCG was not asked"))
	}
	want := adlab.GMSA + "$@" + a.domain.Realm
	must(t.Report.Principal == want, "the ticket is %q's, not %q's: %s", t.Report.Principal, want, t.Report.Error)
	must(strings.EqualFold(t.Report.WhoAmI, "u:"+a.domain.NetBIOS+`\`+adlab.GMSA+"$"), "the domain controller says %q", t.Report.WhoAmI)
	return errs
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
