module github.com/gmsa-agent/gmsa-agent

go 1.26.0

require golang.org/x/sys v0.49.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/opencontainers/runtime-spec v1.3.0
	go.yaml.in/yaml/v4 v4.0.0
)
