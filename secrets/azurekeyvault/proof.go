package azurekeyvault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

// maxProof bounds a token file and a certificate file, in bytes. A chain with a
// key of 4096 bits has less than 10 KiB.
const maxProof = 64 << 10

// assertion reads the service account's token each time that Entra ID wants to
// see it: the kubelet replaces it before it expires. Its place is the
// kubelet's to protect, and is open to who may write in the pod.
func assertion(path string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		b, err := readProof(path)
		if err == nil {
			b = bytes.TrimSpace(b)
			if len(b) == 0 || bytes.ContainsFunc(b, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
				err = fmt.Errorf("has no token in it: %w", fault.ErrUnavailable)
			}
		}
		if err != nil {
			err = fmt.Errorf("token file %s %w", path, err)
			exchangeOf(ctx).fail(err)
			return "", err
		}
		return string(b), nil
	}
}

// readCertificate reads the certificate file, and its sum: who replaces the
// file needs to tell nobody.
func readCertificate(path string) (b []byte, sum [32]byte, err error) {
	if err := private.Secret(path); err != nil {
		// Whatever is wrong with the file, the vault was not asked.
		return nil, sum, fmt.Errorf("certificate file %s is not used: %w: %w", path, fault.ErrUnavailable, kindless(err))
	}
	b, err = readProof(path)
	if err != nil {
		return nil, sum, fmt.Errorf("certificate file %s %w", path, err)
	}
	return b, sha256.Sum256(b), nil
}

// kindless is an error without its fault kind, for one that has another.
func kindless(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return errors.New(err.Error())
}

// readProof's errors go on after the path.
func readProof(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w: %w", fault.ErrUnavailable, kindless(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxProof+1))
	switch {
	case err != nil:
		clear(b)
		return nil, fmt.Errorf("cannot be read: %w: %w", fault.ErrUnavailable, kindless(err))
	case len(b) > maxProof:
		clear(b)
		return nil, fmt.Errorf("is longer than %d bytes: %w", maxProof, fault.ErrUnavailable)
	}
	return b, nil
}

// certificate is the credential of an application with a certificate.
func (s *Store) certificate(c cloud, id identity, file []byte, f *fence) (azcore.TokenCredential, error) {
	certs, key, err := azidentity.ParseCertificates(file, nil)
	if err != nil {
		return nil, fmt.Errorf("certificate file %s is neither PEM with a certificate and its key nor PFX without a password: %w", id.file, fault.ErrUnavailable)
	}
	credential, err := azidentity.NewClientCertificateCredential(id.tenant, id.id, certs, key, &azidentity.ClientCertificateCredentialOptions{
		ClientOptions: s.clientOptions(c, f), DisableInstanceDiscovery: true, // the authorities are constants
	})
	if err != nil {
		return nil, fmt.Errorf("certificate file %s has no RSA key that fits its certificate: %w", id.file, fault.ErrUnavailable)
	}
	return credential, nil
}
