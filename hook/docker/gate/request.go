package gate

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// request is what dockerd shows of a request, and once there is one, of its answer.
// Field names are those of dockerd's pkg/authorization.
type request struct {
	Method string          `json:"RequestMethod"`
	URI    string          `json:"RequestUri"`
	Body   json.RawMessage `json:"RequestBody"` // in base64; absent: not shown
	Status int             `json:"ResponseStatusCode"`
	Answer json.RawMessage `json:"ResponseBody"`
}

// maxRequest bounds what dockerd says: two bodies of less than 1 MiB in base64, the
// request's headers (which net/http bounds at 1 MiB) and certificates.
const maxRequest = 8 << 20

// readRequest reads dockerd's question. Fields that the gate has no use for are
// skipped, bodies are decoded when they are needed.
func readRequest(r io.Reader) (request, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRequest+1))
	if err != nil {
		return request{}, err
	}
	if len(data) > maxRequest {
		return request{}, fmt.Errorf("a request of more than %d bytes: %w", maxRequest, fault.ErrMalformed)
	}
	var q request
	if err := json.Unmarshal(data, &q); err != nil {
		return request{}, fmt.Errorf("%w: %w", fault.ErrMalformed, err)
	}
	if q.Method == "" || q.URI == "" {
		return request{}, fmt.Errorf("a request without method or URI: %w", fault.ErrMalformed)
	}
	return q, nil
}

// body is the request's body; empty if dockerd has not shown it.
func (r request) body() ([]byte, error) { return bytesOf(r.Body) }

func bytesOf(raw json.RawMessage) (b []byte, err error) {
	if len(raw) == 0 {
		return nil, nil
	}
	err = json.Unmarshal(raw, &b)
	return b, err
}

// createdID is the ID of the container that was created.
func (r request) createdID() (string, bool) {
	if r.Status != http.StatusCreated {
		return "", false
	}
	answer, err := bytesOf(r.Answer)
	if err != nil || len(answer) == 0 {
		return "", false
	}
	var created struct{ ID string }
	if err := json.Unmarshal(answer, &created); err != nil {
		return "", false
	}
	return created.ID, created.ID != ""
}
