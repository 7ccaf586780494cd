package main

import (
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gmsa-agent/gmsa-agent/integration/httpslab"
)

// startHTTPSLab runs "httpslab FILE...": an https server with these documents,
// in the script's environment as HTTPS_URL, HTTPS_HOST (its host:port),
// HTTPS_PLAIN (the URL without TLS), HTTPS_CA and HTTPS_TOKEN (files).
func startHTTPSLab(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: httpslab FILE...")
	}
	l, err := httpslab.Start(httpslab.Options{})
	ts.Check(err)
	ts.Defer(func() { ts.Check(l.Stop()) })
	for _, file := range args {
		l.Put(filepath.Base(file), []byte(ts.ReadFile(file)))
	}
	ts.Setenv("HTTPS_URL", l.URL)
	ts.Setenv("HTTPS_HOST", strings.TrimPrefix(l.URL, "https://"))
	ts.Setenv("HTTPS_PLAIN", l.Plain)
	ts.Setenv("HTTPS_CA", l.CAFile)
	ts.Setenv("HTTPS_TOKEN", l.TokenFile)
}
