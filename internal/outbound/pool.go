package outbound

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// maxCAFile is far more than all of Mozilla's roots (220 KiB).
const maxCAFile = 4 << 20

// Pool reads PEM certificates; nil, for the system's, if there is no file.
func Pool(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	info, err := os.Stat(file)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxCAFile) {
		return nil, &badFile{file, fmt.Sprintf("is no file of at most %d bytes", maxCAFile)}
	}
	var pem []byte
	if err == nil {
		pem, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("CA file %s: %w: %w", file, kind(err), cause(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, &badFile{file, "has no PEM certificate"}
	}
	return pool, nil
}

// badFile is a CA file that is none. It wraps fault.ErrMalformed.
type badFile struct{ file, problem string }

func (e *badFile) Error() string {
	return "CA file " + e.file + " " + e.problem + ": " + fault.ErrMalformed.Error()
}

func (e *badFile) Unwrap() error { return fault.ErrMalformed }

func kind(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fault.ErrNotFound
	case errors.Is(err, os.ErrPermission):
		return fault.ErrDenied
	}
	return fault.ErrUnavailable
}

// cause is the system's own error about a file, without what stands around it.
func cause(err error) error {
	if code, ok := errors.AsType[syscall.Errno](err); ok {
		return code
	}
	return err
}
