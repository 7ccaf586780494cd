package kubeclient

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// Limits on files, in bytes. A kubeconfig with the certificates of a hundred
// clusters has half of that.
const maxKubeconfig = 1 << 20

// For clients of client-go's own making, which wait when they have asked for
// more than this.
const (
	requestsPerSecond = 20
	requestsAtOnce    = 40
)

// userAgent is what the API server's logs call the agent.
const userAgent = "gmsa-agent"

var (
	errNoURL      = fmt.Errorf("the server is not https://HOST:PORT: %w", fault.ErrUnavailable)
	errPlainHTTP  = fmt.Errorf("the server's URL is not https, which only a server on this host may do without: %w", errors.ErrUnsupported)
	errUnverified = fmt.Errorf("it has insecure-skip-tls-verify, and the agent talks to no server whose certificate it cannot verify; give the cluster its certificate-authority: %w", errors.ErrUnsupported)
	errExec       = fmt.Errorf("its user has an exec plugin, and the agent runs no program for a credential; use a token, a tokenFile or a client certificate: %w", errors.ErrUnsupported)
	errProvider   = fmt.Errorf("its user has an auth-provider, which client-go no longer has; use a token, a tokenFile or a client certificate: %w", errors.ErrUnsupported)
	errProxy      = fmt.Errorf("its proxy-url is not http, https or socks5://HOST:PORT: %w", fault.ErrUnavailable)
	errNowhere    = fmt.Errorf("no kubeconfig is configured, and the agent does not run in a pod of a cluster: %w", errors.ErrUnsupported)
)

// where is the origin of the settings, for people.
func (c Config) where() string {
	if c.Kubeconfig == "" {
		return "the pod's service account"
	}
	return "kubeconfig " + c.Kubeconfig
}

// REST returns client-go's configuration. It reads files and asks nobody.
//
// It fails with errors.ErrUnsupported where nothing is configured and there is
// no pod, and where the kubeconfig wants what the agent does not do: to run a
// program for a credential, to leave a certificate unverified, to send
// credentials over a network in the clear. What cannot be read, or is not what
// it should be, is fault.ErrUnavailable: it is mended while the agent runs.
func (c Config) REST() (*rest.Config, error) {
	cfg, err := c.load()
	if err != nil {
		return nil, err
	}
	if err := checkServer(cfg.Host); err != nil {
		return nil, fmt.Errorf("%s: %w", c.where(), err)
	}
	if cfg.Proxy == nil {
		// Not the environment's: who sets that is not who configures the agent.
		cfg.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	}
	cfg.UserAgent = userAgent
	cfg.QPS, cfg.Burst = requestsPerSecond, requestsAtOnce
	return cfg, nil
}

func (c Config) load() (*rest.Config, error) {
	if c.Kubeconfig == "" {
		return inPod(os.Getenv)
	}
	data, err := readFile(c.Kubeconfig, maxKubeconfig)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", c.where(), err, fault.ErrUnavailable)
	}
	all, err := clientcmd.Load(data)
	if err != nil { // its text may quote a token
		return nil, fmt.Errorf("%s cannot be parsed: %w", c.where(), fault.ErrUnavailable)
	}
	cfg, err := c.choose(all)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.where(), err)
	}
	return cfg, nil
}

// choose makes the configuration of one context.
func (c Config) choose(all *clientcmdapi.Config) (*rest.Config, error) {
	name := c.Context
	if name == "" {
		name = all.CurrentContext
	}
	context := all.Contexts[name]
	if context == nil {
		return nil, fmt.Errorf("it has no context %q: %w", name, fault.ErrUnavailable)
	}
	cluster := all.Clusters[context.Cluster]
	if cluster == nil {
		return nil, fmt.Errorf("it has no cluster %q, which its context %q is of: %w", context.Cluster, name, fault.ErrUnavailable)
	}
	user := all.AuthInfos[context.AuthInfo]
	switch {
	case cluster.InsecureSkipTLSVerify:
		return nil, errUnverified
	case user != nil && user.Exec != nil:
		return nil, errExec
	case user != nil && user.AuthProvider != nil:
		return nil, errProvider
	}
	if !validProxy(cluster.ProxyURL) { // what clientcmd says of it may have a password
		return nil, errProxy
	}
	// Paths in a kubeconfig are relative to where it is.
	for _, cluster := range all.Clusters {
		cluster.LocationOfOrigin = c.Kubeconfig
	}
	for _, user := range all.AuthInfos {
		user.LocationOfOrigin = c.Kubeconfig
	}
	if err := clientcmd.ResolveLocalPaths(all); err != nil {
		return nil, fmt.Errorf("%w: %w", err, fault.ErrUnavailable)
	}
	cfg, err := clientcmd.NewNonInteractiveClientConfig(*all, name, &clientcmd.ConfigOverrides{}, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, fault.ErrUnavailable)
	}
	// Read from its file, which may end in a line break.
	cfg.BearerToken = strings.TrimSpace(cfg.BearerToken)
	return cfg, nil
}

func validProxy(proxy string) bool {
	if proxy == "" {
		return true
	}
	u, err := url.Parse(proxy)
	return err == nil && u.Host != "" && slices.Contains([]string{"http", "https", "socks5"}, u.Scheme)
}

func checkServer(server string) error {
	u, err := url.Parse(server)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "":
		return errNoURL
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errPlainHTTP
	}
	return errNoURL
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// readFile reads a regular file of at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, plain(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, plain(err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, plain(err)
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("it has more than %d bytes", most)
	}
	return data, nil
}

// plain is a file's error without the path, which stands before it already.
func plain(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}
