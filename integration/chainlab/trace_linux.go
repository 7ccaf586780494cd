package chainlab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/hcs"
	"github.com/gmsa-agent/gmsa-agent/integration/ccgdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/hcsdouble"
	"github.com/gmsa-agent/gmsa-agent/internal/audit"
)

// Trace is what was seen of one container on its way through the chain: what
// the agent recorded, what HCS was sent and what CCG reported. What did not
// happen is nil or empty.
type Trace struct {
	Audit []audit.Record // all records of the container, in their order

	Add    *hcsdouble.Record // HcsModifyServiceSettings, AddInstance
	CCG    *hcsdouble.Record // the CCG double's run, and
	Report *ccgdouble.Report // what it reported
	Create *hcsdouble.Record // HcsCreateComputeSystem
	Remove *hcsdouble.Record // HcsModifyServiceSettings, RemoveInstance

	// The credential spec as HCS was sent it, which carries the grant's token.
	Added, Created hcs.Opaque
}

// Trace collects what is known of a container by now. More than one instance
// or compute system of it is an error: an ID is used once in a lab.
func (l *Lab) Trace(id string) (*Trace, error) {
	t := &Trace{}
	if l.withAgent {
		for r, err := range audit.Read(l.AuditTrail()) {
			if err != nil {
				return nil, err
			}
			if r.Container != nil && r.Container.ID == id {
				t.Audit = append(t.Audit, r)
			}
		}
	}
	records, err := l.Records()
	if err != nil {
		return nil, err
	}
	for i := range records {
		if err := t.add(id, &records[i]); err != nil {
			return nil, fmt.Errorf("record of %s: %w", records[i].Call, err)
		}
	}
	return t, nil
}

func (t *Trace) add(id string, r *hcsdouble.Record) error {
	put := func(place **hcsdouble.Record) error {
		if *place != nil {
			return fmt.Errorf("a second one for %s", id)
		}
		*place = r
		return nil
	}
	switch r.Call {
	case hcsdouble.CallCCG:
		if r.ID != id {
			return nil
		}
		report, err := ccgdouble.ParseReport(r.CCG)
		if err != nil {
			return err
		}
		t.Report = &report
		return put(&t.CCG)
	case "HcsCreateComputeSystem":
		if r.ID != id {
			return nil
		}
		spec, _, err := hcs.Extract([]byte(r.Document))
		if err != nil {
			return err
		}
		t.Created = spec
		return put(&t.Create)
	case "HcsModifyServiceSettings":
		m, err := hcs.ParseModification([]byte(r.Document))
		if err != nil || m.Settings == nil {
			return err
		}
		switch d := m.Settings.OperationDetails.(type) {
		case *hcs.ContainerCredentialGuardAddInstanceRequest:
			if d.Id == id {
				t.Added = d.CredentialSpec
				return put(&t.Add)
			}
		case *hcs.ContainerCredentialGuardRemoveInstanceRequest:
			if d.Id == id {
				return put(&t.Remove)
			}
		default:
			return errors.New("neither AddInstance nor RemoveInstance")
		}
	}
	return nil
}

// Event returns the container's first record of an event, or nil.
func (t *Trace) Event(e audit.Event) *audit.Record {
	i := slices.IndexFunc(t.Audit, func(r audit.Record) bool { return r.Event == e })
	if i < 0 {
		return nil
	}
	return &t.Audit[i]
}

// RunCCG gives a credential spec to the CCG double once more, as HCS does for a
// container, and returns what it reports.
func (l *Lab) RunCCG(ctx context.Context, document string) (ccgdouble.Report, error) {
	cmd := l.Command(ctx, l.Path(ccgProgram))
	cmd.Stdin = strings.NewReader(document)
	// It fails where CCG would; what it has to say is in its report all the same.
	out, runErr := cmd.Output()
	report, err := ccgdouble.ParseReport(out)
	if err != nil {
		return report, errors.Join(err, runErr)
	}
	return report, nil
}
