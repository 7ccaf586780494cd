package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const signTool = "osslsigncode"

// signer adds Authenticode signatures to a package. The key's password is only
// ever in a file, and never an argument.
type signer struct {
	cert, key    string
	passwordFile string
	timestamp    string
}

// signable says whether Windows looks for a signature in a file.
func signable(name string) bool {
	return slices.Contains([]string{".exe", ".dll", ".ps1"}, path.Ext(name))
}

// sign writes a signed package beside an unsigned one and gives its name. What
// is signed is the package's content, byte by byte: each signature is taken off
// once more, and what is left must be what there was.
func (s signer) sign(ctx context.Context, file string) (signed string, err error) {
	if _, err := exec.LookPath(signTool); err != nil {
		return "", fmt.Errorf("%w: install %s, version 2.8 or later", err, signTool)
	}
	p, err := readPackage(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	if err := p.verifySums(); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	tmp, err := os.MkdirTemp("", "gmsa-agent-sign-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	count := 0
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		if !signable(name) {
			continue
		}
		f := p.files[name]
		// Each in a folder of its own: the tool does not write over a file.
		dir := filepath.Join(tmp, fmt.Sprint(count))
		content, err := s.signFile(ctx, dir, path.Ext(name), f.content)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		f.content = content
		p.files[name] = f
		count++
	}
	if count == 0 {
		return "", fmt.Errorf("%s has nothing that Windows looks for a signature in", file)
	}
	p.sum()
	p.file = strings.TrimSuffix(p.file, ".zip") + "-signed.zip"
	archive, err := p.archive()
	if err != nil {
		return "", err
	}
	signed = filepath.Join(filepath.Dir(file), p.file)
	if err := os.WriteFile(signed, archive, 0o644); err != nil {
		return "", err
	}
	return signed, addSum(filepath.Join(filepath.Dir(file), sumsName), p.file, archive)
}

func (s signer) signFile(ctx context.Context, dir, ext string, content []byte) ([]byte, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	at := func(name string) string { return filepath.Join(dir, name+ext) }
	if err := os.WriteFile(at("plain"), content, 0o600); err != nil {
		return nil, err
	}
	args := []string{"sign", "-certs", s.cert, "-key", s.key, "-h", "sha256", "-n", "gmsa-agent", "-in", at("plain"), "-out", at("signed")}
	if s.passwordFile != "" {
		args = append(args, "-readpass", s.passwordFile)
	}
	if s.timestamp != "" {
		args = append(args, "-ts", s.timestamp)
	}
	if _, err := output(ctx, "", nil, signTool, args...); err != nil {
		return nil, err
	}
	if _, err := output(ctx, "", nil, signTool, "remove-signature", "-in", at("signed"), "-out", at("bare")); err != nil {
		return nil, err
	}
	bare, err := os.ReadFile(at("bare"))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(bare, content) {
		return nil, errors.New("without its signature it is not what was to be signed")
	}
	return os.ReadFile(at("signed"))
}

// verifySignatures checks the signature of every file of a package that must
// have one, and gives their names.
func verifySignatures(ctx context.Context, p *namedPackage, ca string) (names []string, err error) {
	tmp, err := os.MkdirTemp("", "gmsa-agent-verify-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		if !signable(name) {
			continue
		}
		file := filepath.Join(tmp, "file"+path.Ext(name))
		if err := os.WriteFile(file, p.files[name].content, 0o600); err != nil {
			return nil, err
		}
		if _, err := output(ctx, "", nil, signTool, "verify", "-CAfile", ca, "-TSA-CAfile", ca, "-in", file); err != nil {
			return nil, fmt.Errorf("signature of %s: %w", name, err)
		}
		names = append(names, name)
	}
	if names == nil {
		return nil, errors.New("it has nothing that Windows looks for a signature in")
	}
	return names, nil
}
