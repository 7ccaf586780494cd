package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Asked is the part of a config.json by which a container asks for a gMSA.
type Asked struct {
	// CredentialSpec is what stands in windows.credentialSpec: the string, or
	// the JSON text of anything else but null. hcsshim silently ignores what is
	// not a string, so that a container whose credential spec is an object would
	// start without its identity; to the agent it asks with that document.
	// Empty if there is nothing.
	CredentialSpec string
	// Annotations are the container's annotations.
	Annotations map[string]string
}

// Read returns what config, the bytes of a config.json, asks for. Its error
// wraps [fault.ErrMalformed]: then the runtime shim that decodes the same bytes
// into the whole specification fails too, unless config is larger than [MaxSize].
func Read(config []byte) (Asked, error) {
	if len(config) > MaxSize {
		return Asked{}, tooLarge(len(config))
	}
	return ReadFrom(bytes.NewReader(config))
}

// ReadFrom is [Read] without its limit: it holds in memory what the runtime shim
// will hold a moment later. Like the shim, it reads r no further than the first
// JSON value.
func ReadFrom(r io.Reader) (Asked, error) {
	// The fields of specs-go's Spec and Windows, with the types that decide how
	// duplicates merge: a null resets the pointer and the map, an object adds to
	// them.
	var config struct {
		Annotations map[string]string `json:"annotations"`
		Windows     *struct {
			CredentialSpec json.RawMessage `json:"credentialSpec"`
		} `json:"windows"`
	}
	if err := json.NewDecoder(r).Decode(&config); err != nil {
		return Asked{}, fmt.Errorf("config.json: %w: %w", fault.ErrMalformed, err)
	}
	asked := Asked{Annotations: config.Annotations}
	if config.Windows == nil {
		return asked, nil
	}
	switch raw := config.Windows.CredentialSpec; {
	case len(raw) == 0, string(raw) == "null":
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &asked.CredentialSpec); err != nil {
			return Asked{}, fmt.Errorf("config.json: windows.credentialSpec: %w: %w", fault.ErrMalformed, err)
		}
	default:
		asked.CredentialSpec = string(raw)
	}
	return asked, nil
}

func tooLarge(size int) error {
	return fmt.Errorf("config.json: %w: %d bytes, limit %d", fault.ErrMalformed, size, MaxSize)
}
