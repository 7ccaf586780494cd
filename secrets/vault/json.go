package vault

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// errForeign is an answer 200 that Vault does not give: that of a proxy, or of
// another server.
var errForeign = fmt.Errorf("the answer is not Vault's: %w", fault.ErrUnavailable)

// envelope is what every answer of Vault is in.
type envelope struct {
	Data          json.RawMessage `json:"data"` // whoever decodes it overwrites it
	LeaseDuration int64           `json:"lease_duration"`
}

// open decodes the envelope and overwrites the answer.
func (a *answer) open() (envelope, error) {
	var e envelope
	err := json.Unmarshal(a.body, &e)
	clear(a.body)
	if err != nil || len(e.Data) == 0 || e.Data[0] != '{' {
		clear(e.Data)
		return envelope{}, errForeign
	}
	return e, nil
}

// decode decodes the data of an answer that has no secret in it.
func (a *answer) decode(data any) error {
	e, err := a.open()
	if err == nil && json.Unmarshal(e.Data, data) != nil {
		err = errForeign
	}
	return err
}

// after is when a lease of so many seconds ends; zero if there is none.
func (a *answer) after(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	// A lease is counted from when Vault answered; to be early does no harm.
	return a.at.Add(time.Duration(min(seconds, maxLease)) * time.Second)
}

// maxLease keeps what Vault says within the range of a time.Duration: ten years.
const maxLease = 10 * 365 * 24 * 3600

// wipe overwrites the values.
func wipe(values map[string]json.RawMessage) {
	for _, v := range values {
		clear(v)
	}
}
