package chainlab

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/gmsa-agent/gmsa-agent/integration/ccgdouble"
	"github.com/gmsa-agent/gmsa-agent/integration/hcsdouble"
)

// Records returns what HCS was sent so far.
func (l *Lab) Records() ([]hcsdouble.Record, error) { return hcsdouble.Read(l.Path(stateFolder)) }

// CCGReport returns what CCG's double reported for the container; ok is false
// when it was not started.
func (l *Lab) CCGReport(id string) (report ccgdouble.Report, ok bool, err error) {
	records, err := l.Records()
	if err != nil {
		return report, false, err
	}
	found := hcsdouble.Calls(records, hcsdouble.CallCCG, id)
	if len(found) == 0 {
		return report, false, nil
	}
	report, err = ccgdouble.ParseReport(found[len(found)-1].CCG)
	return report, true, err
}

// CCG lets CCG's double fetch the credentials of a document, as if HCS had
// handed it over: for documents of containers that are gone, and forged ones.
func (l *Lab) CCG(ctx context.Context, document []byte) (ccgdouble.Report, error) {
	cmd := l.Command(ctx, l.Path(ccgProgram))
	cmd.Stdin = bytes.NewReader(document)
	out, err := cmd.Output() // its exit code says no more than the report does
	if len(out) == 0 {
		return ccgdouble.Report{}, fmt.Errorf("CCG double: no report: %w", err)
	}
	return ccgdouble.ParseReport(out)
}

// HoldCCG makes CCG's double wait before it looks at a credential spec, until
// release is called.
func (l *Lab) HoldCCG() (release func() error, err error) {
	hold := l.Path(stateFolder + `\` + hcsdouble.HoldFile)
	if err := os.WriteFile(hold, nil, 0o600); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(hold) }, nil
}

// SeedInstances gives HCS CCG instances; see hcsdouble.Seed.
func (l *Lab) SeedInstances(run bool, ids ...string) error {
	return hcsdouble.Seed(l.Path(stateFolder), run, ids...)
}

// Instances are the IDs of HCS's CCG instances, sorted.
func (l *Lab) Instances() ([]string, error) { return hcsdouble.Instances(l.Path(stateFolder)) }
