// Package sources lists the credential spec sources that are built in. It is
// the one place that knows them all; they do not know each other.
package sources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/gmsa-agent/gmsa-agent/credspec"
	"github.com/gmsa-agent/gmsa-agent/credspec/cache"
	"github.com/gmsa-agent/gmsa-agent/credspec/config"
	"github.com/gmsa-agent/gmsa-agent/credspec/file"
	"github.com/gmsa-agent/gmsa-agent/credspec/https"
	"github.com/gmsa-agent/gmsa-agent/credspec/kubernetes"
	"github.com/gmsa-agent/gmsa-agent/credspec/oci"
	"github.com/gmsa-agent/gmsa-agent/credspec/raw"
	"github.com/gmsa-agent/gmsa-agent/credspec/registry"
	"github.com/gmsa-agent/gmsa-agent/credspec/s3"
	"github.com/gmsa-agent/gmsa-agent/credspec/ssm"
	"github.com/gmsa-agent/gmsa-agent/internal/awsclient"
	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/kubeclient"
)

// DefaultTimeout is how long a remote source is given for one request.
const DefaultTimeout = 10 * time.Second

// Config is what the sources need to be told. Its zero value works.
type Config struct {
	// Folders are where file:// references are looked for, in this order:
	// absolute paths. Nil means [DefaultFolders].
	Folders []string
	// Timeout bounds one request to a remote source; zero is DefaultTimeout.
	Timeout    time.Duration
	HTTPS      https.Config
	OCI        oci.Config
	AWS        awsclient.Config
	Kubernetes kubeclient.Config
}

// New returns a Mux over all of them, each of which is asked every time. It asks
// nobody yet. It fails with fault.ErrMalformed where the configuration is wrong.
func New(cfg Config) (*credspec.Mux, error) {
	all, err := local(cfg)
	if err != nil {
		return nil, err
	}
	remote, err := remote(cfg)
	if err != nil {
		return nil, err
	}
	maps.Copy(all, remote)
	return credspec.NewMux(all), nil
}

// Cached is New with the cache in front of the sources that can be down, and
// counting what all of them are asked. Several may share the cache.
func Cached(cfg Config, c *cache.Cache, limits cache.Limits) (*credspec.Mux, error) {
	all, err := local(cfg)
	if err != nil {
		return nil, err
	}
	for scheme, source := range all {
		all[scheme] = c.Count(source)
	}
	remote, err := remote(cfg)
	if err != nil {
		return nil, err
	}
	for scheme, source := range remote {
		all[scheme] = c.Front(source, limits)
	}
	return credspec.NewMux(all), nil
}

// local are the sources of this host. There is nothing in front of them: they
// are as near as a cache would be.
func local(cfg Config) (map[string]credspec.Source, error) {
	folders := cfg.Folders
	if folders == nil {
		folders = DefaultFolders()
	}
	files, err := file.New(folders...)
	if err != nil {
		return nil, err
	}
	return map[string]credspec.Source{
		config.Scheme:   config.Source{},
		file.Scheme:     files,
		raw.Scheme:      raw.Source{},
		registry.Scheme: registry.New(),
	}, nil
}

// remote are the sources that can be down.
func remote(cfg Config) (map[string]credspec.Source, error) {
	web, err := https.New(cfg.HTTPS)
	if err != nil {
		return nil, err
	}
	artifacts, err := oci.New(cfg.OCI)
	if err != nil {
		return nil, err
	}
	amazon, err := awsclient.New(cfg.AWS)
	if err != nil {
		return nil, err
	}
	cluster, err := kubernetes.New(cfg.Kubernetes)
	if err != nil {
		return nil, err
	}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	all := map[string]credspec.Source{
		https.SchemePlain: web,
		https.Scheme:      web,
		oci.Scheme:        artifacts,
		s3.Scheme:         s3.New(amazon),
		ssm.Scheme:        ssm.New(amazon),
		kubernetes.Scheme: cluster,
	}
	for scheme, source := range all {
		all[scheme] = bounded{source, timeout}
	}
	return all, nil
}

// bounded gives a source so much time for an answer.
type bounded struct {
	source  credspec.Source
	timeout time.Duration
}

// Resolve implements credspec.Source.
func (b bounded) Resolve(ctx context.Context, ref credspec.Ref) (credspec.Document, error) {
	return b.within(ctx, func(ctx context.Context) (credspec.Document, error) { return b.source.Resolve(ctx, ref) })
}

// Revalidate implements credspec.Revalidator; a source that is none is asked
// anew.
func (b bounded) Revalidate(ctx context.Context, ref credspec.Ref, tag string) (credspec.Document, error) {
	return b.within(ctx, func(ctx context.Context) (credspec.Document, error) {
		if r, ok := b.source.(credspec.Revalidator); ok {
			return r.Revalidate(ctx, ref, tag)
		}
		return b.source.Resolve(ctx, ref)
	})
}

// Admit implements credspec.Admitter; a source that is none refuses nothing.
func (b bounded) Admit(ref credspec.Ref) error {
	if a, ok := b.source.(credspec.Admitter); ok {
		return a.Admit(ref)
	}
	return nil
}

func (b bounded) within(ctx context.Context, ask func(context.Context) (credspec.Document, error)) (credspec.Document, error) {
	short, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	doc, err := ask(short)
	if err != nil && ctx.Err() == nil && errors.Is(short.Err(), context.DeadlineExceeded) {
		// The caller's time is not up: the source is slow.
		return credspec.Document{}, fmt.Errorf("no answer within %v: %w", b.timeout, fault.ErrUnavailable)
	}
	return doc, err
}
