// Package hcsdouble is a double of the Host Compute Service (HCS): a
// vmcompute.dll and a computecore.dll for the Wine lab, and what reads their
// record.
//
// The DLLs' sources and what of it is recorded and what is invented stand in
// vmcompute/README.md. The package knows the service calls that it was sent;
// it judges none of them.
package hcsdouble

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The environment of the DLL; see vmcompute/README.md.
const (
	EnvState      = "HCSDOUBLE_STATE"
	EnvCCG        = "HCSDOUBLE_CCG"
	EnvCCGTimeout = "HCSDOUBLE_CCG_TIMEOUT_MS"
	EnvProcess    = "HCSDOUBLE_PROCESS_MS"
)

// HoldFile is the file in the state folder that makes CCG's part wait.
const HoldFile = "hold"

// CallCCG is the Call of a record that the CCG double made.
const CallCCG = "ccg"

// Record is one call that the double got, in the order in which calls ended.
type Record struct {
	Time     time.Time `json:"time"`     // when the call began
	PID      int       `json:"pid"`      // Windows' id of the calling process
	DLL      string    `json:"dll"`      // by which it came: "vmcompute.dll"
	Call     string    `json:"call"`     // "HcsCreateComputeSystem", or CallCCG
	ID       string    `json:"id"`       // of the container, or the path of the layer; empty for others
	Document string    `json:"document"` // what the caller sent, byte for byte
	Answer   string    `json:"answer"`   // the document that it got back
	HResult  string    `json:"hresult"`  // "0x00000000"; "0xc0370103": pending, and completed later
	Millis   int64     `json:"ms"`
	// CCG is what the CCG double printed, for CallCCG.
	CCG json.RawMessage `json:"ccg"`
}

// maxLine bounds a line of the record. The longest answer has the credential
// specs, at most 64 KiB each and escaped twice, of all containers.
const maxLine = 16 << 20

// Read reads the record in the double's state folder. Before the first call
// there is none, which is no error.
func Read(state string) ([]Record, error) {
	data, err := os.ReadFile(filepath.Join(state, "record.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var records []Record
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var r Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("HCS double's record, line %d: %w", len(records)+1, err)
		}
		records = append(records, r)
	}
	return records, lines.Err()
}

// Calls returns those of the records that are of the call and, if id is not
// empty, of the container.
func Calls(records []Record, call, id string) []Record {
	var found []Record
	for _, r := range records {
		if r.Call == call && (id == "" || r.ID == id) {
			found = append(found, r)
		}
	}
	return found
}

// Seed gives the double what it would have after containers of these IDs were
// made: a CCG instance each, and if they run a compute system each.
func Seed(state string, run bool, ids ...string) error {
	files := map[string]any{}
	for _, id := range ids {
		files[filepath.Join("ccg", id)] = map[string]any{"Id": id, "CredentialGuard": map[string]any{
			"Cookie": "canary-cookie", "RpcEndpoint": "ccg-seed", "Transport": "LRPC", "CredentialSpec": `{"canary":"spec"}`,
		}}
		if run {
			files[filepath.Join("systems", id)] = map[string]any{
				"Id": id, "Owner": "containerd-shim-runhcs-v1.exe", "SystemType": "Container", "RuntimeOsType": "Windows", "State": "Running",
			}
		}
	}
	for name, content := range files {
		data, err := json.Marshal(content)
		if err != nil {
			return err
		}
		path := filepath.Join(state, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// Instances are the IDs of the CCG instances that the double has, sorted.
func Instances(state string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(state, "ccg"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids, err
}
