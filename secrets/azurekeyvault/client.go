package azurekeyvault

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// client asks one vault as one identity.
type client struct {
	*azsecrets.Client
	credential *credential
}

type clientKey struct {
	host string
	of   credentialKey
}

// client returns the one for a target and an identity. It reads the
// identity's certificate, and asks nobody.
func (s *Store) client(t target, id identity) (client, error) {
	k := clientKey{t.host, credentialKey{audience: t.cloud.audience, id: id}}
	var file []byte
	if id.kind == byCertificate {
		var err error
		if file, k.of.sum, err = readCertificate(id.file); err != nil {
			return client{}, err
		}
		defer clear(file)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clients.get(k, func() (client, error) {
		of, err := s.credentials.get(k.of, func() (inner, error) {
			if id.isManaged() {
				return s.managed(t.cloud, id)
			}
			return s.application(t.cloud, id, file)
		})
		if err != nil {
			return client{}, err
		}
		return s.connect(t, &credential{inner: of, id: id, cloud: t.cloud, host: t.host})
	})
}

func (s *Store) connect(t target, c *credential) (client, error) {
	f := &fence{
		name: t.host, via: s.tls,
		allows: func(u *url.URL) bool { return u.Scheme == "https" && u.Host == t.host },
		retell: func(status int, h http.Header, body []byte) (said codes, challenge string, err error) {
			if status == http.StatusUnauthorized {
				challenge, err = t.vet(h)
			}
			return vaultAnswer(body), challenge, err
		},
	}
	// The SDK checks, too, that the challenge is the vault's.
	options := &azsecrets.ClientOptions{ClientOptions: s.clientOptions(t.cloud, f)}
	got, err := azsecrets.NewClient("https://"+t.host, c, options)
	if err != nil {
		return client{}, fmt.Errorf("%s cannot be asked: %w", t.host, fault.ErrUnavailable)
	}
	return client{got, c}, nil
}
