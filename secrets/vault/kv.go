package vault

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

// readKV1 reads from version 1 of the key-value engine, which keeps the latest
// value only and does not say when it was written.
func readKV1(ctx context.Context, s *Store, m mount, path, field string) (*secrets.Credential, error) {
	a, err := s.get(ctx, m.path+path)
	if err != nil {
		return nil, err
	}
	e, err := a.open()
	if err != nil {
		return nil, s.at(err)
	}
	defer clear(e.Data)
	cred, err := credential(e.Data, field)
	if err != nil {
		return nil, err
	}
	cred.Expires = a.after(e.LeaseDuration)
	return cred, nil
}

// version2 is what version 2 of the key-value engine says of a version.
type version2 struct {
	Data     json.RawMessage // null if the version is deleted or destroyed
	Metadata struct {
		Version   int64
		Created   string `json:"created_time"`
		Deleted   string `json:"deletion_time"` // also one to come
		Destroyed bool
	}
}

// gone says why a version has no data; empty if nobody knows.
func (v *version2) gone() string {
	switch {
	case v.Metadata.Version == 0:
		return ""
	case v.Metadata.Destroyed:
		return fmt.Sprintf("its version %d is destroyed", v.Metadata.Version)
	case v.Metadata.Deleted != "":
		return fmt.Sprintf("its version %d is deleted since %.40s; `vault kv undelete` brings it back", v.Metadata.Version, v.Metadata.Deleted)
	}
	return ""
}

// readKV2 reads the latest version from version 2 of the key-value engine.
func readKV2(ctx context.Context, s *Store, m mount, path, field string) (*secrets.Credential, error) {
	a, err := s.get(ctx, m.path+"data/"+path)
	if code(err) == http.StatusNotFound {
		return nil, s.absent2(err, path)
	}
	if err != nil {
		return nil, err
	}
	e, err := a.open()
	if err != nil {
		return nil, s.at(err)
	}
	defer clear(e.Data)
	var v version2
	err = json.Unmarshal(e.Data, &v)
	defer clear(v.Data)
	if err != nil {
		return nil, s.at(errForeign)
	}
	if string(v.Data) == "null" || len(v.Data) == 0 {
		return nil, fmt.Errorf("%s: %w", cmp.Or(v.gone(), "its latest version has no data"), fault.ErrNotFound)
	}
	cred, err := credential(v.Data, field)
	if err != nil {
		return nil, err
	}
	cred.Expires = a.after(e.LeaseDuration)
	if v.Metadata.Version > 0 {
		cred.Version = fmt.Sprintf("%d of %.40s", v.Metadata.Version, v.Metadata.Created)
	}
	// delete_version_after: from then on Vault gives it to nobody.
	if end, err := time.Parse(time.RFC3339Nano, v.Metadata.Deleted); err == nil {
		cred.Expires = earlier(cred.Expires, a.local(end))
	}
	return cred, nil
}

// absent2 says more of a secret that is not there.
func (s *Store) absent2(err error, path string) error {
	status, _ := errors.AsType[*statusError](err)
	var e envelope
	var v version2
	if json.Unmarshal(status.body, &e) == nil && len(e.Data) > 0 && json.Unmarshal(e.Data, &v) == nil && v.gone() != "" {
		return fmt.Errorf("%s: %w", v.gone(), fault.ErrNotFound)
	}
	if strings.HasPrefix(path, "data/") {
		return fmt.Errorf("%w; a reference has no data/ after the mount, which only the API's paths have", err)
	}
	return err
}

// credential reads the data of a secret, or one field of it.
func credential(data json.RawMessage, field string) (*secrets.Credential, error) {
	if field == "" {
		return secrets.ParseJSON(data)
	}
	values := map[string]json.RawMessage{}
	err := json.Unmarshal(data, &values)
	defer wipe(values)
	if err != nil {
		return nil, errForeign
	}
	value, ok := values[field]
	if !ok {
		return nil, fmt.Errorf("it has no field of that name: %w", fault.ErrNotFound)
	}
	cred, err := secrets.ParseJSON(value)
	if err != nil {
		return nil, fmt.Errorf("the field's %w", err)
	}
	return cred, nil
}

// local is a time by Vault's clock, by ours.
func (a *answer) local(t time.Time) time.Time {
	if a.date.IsZero() {
		return t
	}
	return a.at.Add(t.Sub(a.date))
}

// earlier is the earlier one of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
