module github.com/gmsa-agent/gmsa-agent

go 1.26
