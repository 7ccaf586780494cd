package azurekeyvault

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// NewVia returns a store that connects in another way, with short pauses
// between its attempts.
func NewVia(cfg Config, dial func(ctx context.Context, network, address string) (net.Conn, error), roots *x509.CertPool) (*Store, error) {
	return newStore(cfg, dial, roots, policy.RetryOptions{
		MaxRetries: retries, RetryDelay: time.Millisecond, MaxRetryDelay: mostPause, TryTimeout: tryTimeout,
	})
}

// MaxPool is how many clients a store keeps.
const MaxPool = maxPool

// Clients is how many it has.
func (s *Store) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients.kept)
}
