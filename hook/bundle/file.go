package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// FileName is the file of a bundle's folder that says how the container runs.
const FileName = "config.json"

// A File is the config.json of a bundle as it was read.
type File struct {
	Asked

	path   string
	config []byte // nil if the file is larger than MaxSize
	mode   os.FileMode
	owner  owner
}

// Open reads the config.json in folder. A file that is larger than [MaxSize] is
// read for what it asks, but cannot be changed.
//
// The error wraps [fault.ErrMalformed] if the bytes are not what a runtime shim
// can decode, and the system's error if they cannot be read. Open never waits:
// what is not a regular file is an error.
func Open(folder string) (*File, error) {
	path := filepath.Join(folder, FileName)
	f, err := openNow(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: not a regular file", path, fault.ErrMalformed)
	}
	file := &File{path: path, mode: info.Mode().Perm(), owner: ownerOf(info)}
	config, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(config) <= MaxSize {
		file.config = config
		file.Asked, err = Read(config)
	} else {
		file.Asked, err = ReadFrom(io.MultiReader(bytes.NewReader(config), f))
	}
	if err != nil {
		return nil, err
	}
	return file, nil
}

// SetCredentialSpec replaces the file on the disk by one with document in
// windows.credentialSpec, as the function [SetCredentialSpec] makes it. Whoever
// reads the file meanwhile sees the old or the new one, never a part. If it is
// what the file holds already, nothing is written.
//
// Nothing is synced: a bundle whose host loses power is rubbish, whatever is in it.
func (f *File) SetCredentialSpec(document []byte) error {
	if f.config == nil {
		return fmt.Errorf("%s: %w: more than %d bytes", f.path, fault.ErrMalformed, MaxSize)
	}
	config, err := SetCredentialSpec(f.config, document)
	if err != nil || bytes.Equal(config, f.config) {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.path), "."+FileName+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(config)
	err = errors.Join(err, f.owner.give(tmp), tmp.Chmod(f.mode), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	f.config, f.CredentialSpec = config, string(document)
	return nil
}
