module github.com/gmsa-agent/gmsa-agent

go 1.26.0

require golang.org/x/sys v0.49.0
