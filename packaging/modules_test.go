package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLicencesAreToldApart(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"Apache-2.0": "   Apache License\n     Version 2.0, January 2004\n",
		"MPL-2.0":    "Copyright (c) 2020 X\n\nMozilla Public License, version 2.0\n",
		"MIT":        "MIT License\n\nPermission is hereby granted, free of charge, to any person",
		"BSD-3-Clause": "Redistribution and use in source and binary forms, with or without\n * modification\n" +
			" * Neither the name of X nor the names may be used to endorse or promote\n * products derived",
		"BSD-2-Clause": "> Redistribution and use in source and binary forms\n> materials provided with\n> the distribution.",
		"ISC":          "Permission to use, copy, modify, and/or distribute this software for any purpose",
		"":             "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007",
	} {
		if got := identify(text); got != want {
			t.Errorf("%q is taken for %q, want %q", text, got, want)
		}
	}
}

func TestALicenceThatNobodyHasReadStopsTheBuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := licencesIn(dir, []string{dir}); err == nil {
		t.Error("a module without a licence was taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "COPYING"), []byte("All rights reserved."), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := licencesIn(dir, []string{dir}); err == nil || !strings.Contains(err.Error(), "COPYING") {
		t.Errorf("got %v, want an error that names COPYING", err)
	}
}

func TestTheLicencesOfLinkedFoldersAreCollected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	const mit = "Permission is hereby granted, free of charge"
	for name, text := range map[string]string{
		"LICENSE.txt": mit, "NOTICE": "thanks", "licence.go": "package x", "inner/LICENSE": "Apache License Version 2.0, January 2004",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := licencesIn(dir, []string{dir, inner})
	if err != nil {
		t.Fatal(err)
	}
	want := []licence{
		{"LICENSE.txt", "MIT", mit}, {"NOTICE", "", "thanks"},
		{"inner/LICENSE", "Apache-2.0", "Apache License Version 2.0, January 2004"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(licence{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Apache-2.0", "MIT"}, (module{licences: got}).ids()); diff != "" {
		t.Error(diff)
	}
}
