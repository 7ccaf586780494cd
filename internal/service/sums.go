package service

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// sumsName is beside a package's files, in the form of sha256sum(1).
const sumsName = "SHA256SUMS"

// maxSums bounds it: ten thousand files.
const maxSums = 1 << 20

// Sums are the SHA-256 digests, in hexadecimal, that a package's folder says its
// files have, by name. A folder that says nothing has none.
func Sums(folder string) (map[string]string, error) {
	path := filepath.Join(folder, sumsName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, maxSums+1))
	if err != nil {
		return nil, err
	}
	sums, err := parseSums(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sums, nil
}

func parseSums(text []byte) (map[string]string, error) {
	if len(text) > maxSums {
		return nil, fmt.Errorf("%w: more than %d bytes", fault.ErrMalformed, maxSums)
	}
	sums := map[string]string{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		sum, name, ok := strings.Cut(line, " ")
		name = strings.TrimPrefix(strings.TrimPrefix(name, " "), "*") // of text and of binary files
		if digest, err := hex.DecodeString(sum); !ok || err != nil || len(digest) != 32 || name == "" {
			return nil, fmt.Errorf("line %d: %w: not a SHA-256 digest and a name", n, fault.ErrMalformed)
		}
		name = strings.TrimPrefix(name, "./")
		if _, twice := sums[name]; twice {
			return nil, fmt.Errorf("line %d: %w: %q stands there twice", n, fault.ErrMalformed, name)
		}
		sums[name] = strings.ToLower(sum)
	}
	return sums, nil
}
