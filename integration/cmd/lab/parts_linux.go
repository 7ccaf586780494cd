package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/integration/adlab"
	"github.com/gmsa-agent/gmsa-agent/integration/awslab"
	"github.com/gmsa-agent/gmsa-agent/integration/chainlab"
	"github.com/gmsa-agent/gmsa-agent/integration/containerdlab"
	"github.com/gmsa-agent/gmsa-agent/integration/dockerlab"
	"github.com/gmsa-agent/gmsa-agent/integration/kubelab"
	"github.com/gmsa-agent/gmsa-agent/integration/lab"
	"github.com/gmsa-agent/gmsa-agent/integration/registrylab"
	"github.com/gmsa-agent/gmsa-agent/integration/s3lab"
	"github.com/gmsa-agent/gmsa-agent/integration/vaultlab"
	"github.com/gmsa-agent/gmsa-agent/integration/winelab"
)

// parts lists the labs. It is the one place that knows them all.
func parts() []part {
	return []part{
		{"base", "a C compiler for the race detector", setupBase, readyBase},
		{"ad", "two Active Directory domains (Samba)", adlab.Setup, adlab.Ready},
		{"wine", "Windows programs (Wine)", winelab.Setup, winelab.Ready},
		{"containerd", "Debian's containerd and runc", containerdlab.Setup, containerdlab.Ready},
		{"docker", "Debian's dockerd and a current one", dockerlab.Setup, dockerlab.Ready},
		{"chain", "containerd.exe and the runhcs shim (Wine)", chainlab.Setup, chainlab.Ready},
		{"s3", "an S3 server (versitygw)", s3lab.Setup, s3lab.Ready},
		{"aws", "AWS's APIs (moto)", awslab.Setup, awslab.Ready},
		{"registry", "an OCI registry (distribution)", registrylab.Setup, registrylab.Ready},
		{"kube", "a Kubernetes API server with etcd", kubelab.Setup, kubelab.Ready},
		{"vault", "HashiCorp Vault", vaultlab.Setup, vaultlab.Ready},
	}
}

var basePackages = []string{"gcc", "libc6-dev"}

func setupBase(ctx context.Context, report lab.Reporter) error {
	return lab.Packages(ctx, report, "", basePackages...)
}

func readyBase() error {
	if missing := lab.Missing(basePackages...); len(missing) > 0 {
		return fmt.Errorf("packages %s are missing: make lab-base", strings.Join(missing, ", "))
	}
	return nil
}
