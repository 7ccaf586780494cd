package awslab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gmsa-agent/gmsa-agent/integration/lab"
)

// Instance is what the metadata service knows.
type Instance struct {
	Region       string
	ID, Secret   string // the keys of the instance's role
	SessionToken string // goes with them; empty for keys that have none
}

// Metadata is a running metadata service that speaks version 2 only: requests
// without a session token are refused.
type Metadata struct {
	URL string

	dir    string
	server *lab.Process
}

// StartMetadata starts a metadata service. The caller calls Stop.
func StartMetadata(ctx context.Context, i Instance) (*Metadata, error) {
	if err := Ready(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gmsa-imds-")
	if err != nil {
		return nil, err
	}
	m := &Metadata{dir: dir}
	if err := m.start(ctx, i); err != nil {
		return nil, errors.Join(fmt.Errorf("start the metadata service: %w", err), m.Stop())
	}
	return m, nil
}

func (m *Metadata) start(ctx context.Context, i Instance) error {
	ctx, cancel := context.WithTimeout(ctx, lab.StartTimeout) // it takes 100 ms
	defer cancel()
	var err error
	for range 3 { // somebody else may take the port first
		var address string
		if address, err = lab.Address(); err != nil {
			return err
		}
		m.URL = "http://" + address
		file := filepath.Join(m.dir, "config.json")
		if err := writeConfig(file, address, i); err != nil {
			return err
		}
		m.server, err = lab.Start(lab.Options{
			Path: metadataBinary(), Args: []string{"--config-file", file}, Log: filepath.Join(m.dir, "log"), Dir: m.dir,
			Env: []string{"HOME=" + m.dir},
		})
		if err != nil {
			return err
		}
		err = lab.WaitFor(ctx, "the metadata service", func(ctx context.Context) error {
			if m.server.Exited() != nil {
				return nil
			}
			return m.ask(ctx)
		})
		if err != nil {
			return err
		}
		if err = m.server.Exited(); err == nil {
			return nil
		}
	}
	return err
}

func writeConfig(file, address string, i Instance) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	type object = map[string]any
	text, err := json.Marshal(object{
		"server": object{"hostname": host, "port": port},
		"imdsv2": true,
		"metadata": object{"values": object{
			"iam-security-credentials-role": "baskinc-role", // its paths have that name
			"iam-security-credentials": object{
				"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": time.Now().UTC().Format(time.RFC3339),
				"AccessKeyId": i.ID, "SecretAccessKey": i.Secret, "Token": i.SessionToken,
				"Expiration": time.Now().Add(6 * time.Hour).UTC().Format(time.RFC3339),
			},
		}},
		"dynamic": object{"values": object{"instance-identity-document": object{"region": i.Region}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// ask sends a request without a token, which the service refuses.
func (m *Metadata) ask(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL+"/latest/meta-data/", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("answers %s without a session token", resp.Status)
	}
	return nil
}

// Stop ends the service and removes what it had.
func (m *Metadata) Stop() error {
	return errors.Join(m.server.Stop(lab.StopGrace), os.RemoveAll(m.dir))
}
