package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// maxFolder bounds the files of a folder that are read for one command.
const maxFolder = 10_000

// specFiles are what an argument names: itself, or, if it is a folder, the files
// in it that may hold credential specs, in the order of their names.
func specFiles(arg string) (names []string, inFolder bool, err error) {
	if info, err := os.Stat(arg); looksLikeRef(arg) || arg == "-" || err != nil || !info.IsDir() {
		return []string{arg}, false, nil // what is wrong with it is found out when it is read
	}
	entries, err := os.ReadDir(arg)
	if err != nil {
		return nil, true, fileError(arg, err)
	}
	for _, e := range entries {
		if extension := strings.ToLower(filepath.Ext(e.Name())); e.IsDir() || extension != ".json" && !isYAML(e.Name()) {
			continue
		}
		if len(names) == maxFolder {
			return nil, true, fmt.Errorf("folder %s: %w: more than %d files", arg, fault.ErrMalformed, maxFolder)
		}
		names = append(names, filepath.Join(arg, e.Name()))
	}
	if len(names) == 0 {
		return nil, true, fmt.Errorf("folder %s: %w: no file *.json, *.yaml or *.yml", arg, fault.ErrNotFound)
	}
	return names, true, nil
}

func isYAML(name string) bool {
	extension := strings.ToLower(filepath.Ext(name))
	return extension == ".yaml" || extension == ".yml"
}
