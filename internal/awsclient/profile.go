package awsclient

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/private"
)

const (
	// maxProfiles bounds a credentials file. An entry has about 150 bytes.
	maxProfiles = 1 << 20
	// rereadProfile is how long keys from a file are used before the file is
	// read again: they may have been changed.
	rereadProfile = 5 * time.Minute
)

// profile reads keys from a credentials file of the AWS CLI.
func (c *Client) profile() (aws.CredentialsProvider, error) {
	p := profileFile{path: c.cfg.ProfileFile, name: c.cfg.Profile}
	if p.name == "" {
		p.name = "default"
	}
	if p.path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, unconfigured("aws credentials %q have no file (aws.profile_file), and the agent's user has no home folder", profile)
		}
		p.path = filepath.Join(home, ".aws", "credentials")
	}
	return p, nil
}

type profileFile struct{ path, name string }

// Retrieve implements aws.CredentialsProvider.
func (p profileFile) Retrieve(context.Context) (aws.Credentials, error) {
	if err := private.Secret(p.path); err != nil {
		return aws.Credentials{}, err
	}
	data, err := readFile(p.path, maxProfiles)
	if err != nil {
		return aws.Credentials{}, err
	}
	keys, err := readProfile(string(data), p.name)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("%s: %w: %w", p.path, err, fault.ErrUnavailable)
	}
	return aws.Credentials{
		AccessKeyID:     keys.id,
		SecretAccessKey: keys.secret,
		SessionToken:    keys.session,
		Source:          profile,
		CanExpire:       true,
		Expires:         time.Now().Add(rereadProfile + expiryWindow),
	}, nil
}

// keys are what a profile has that we use.
type keys struct{ id, secret, session string }

// indirect are the settings with which a profile says that its credentials are
// had from somewhere else: by running a program, from a browser's session, from
// another profile. None of that is done. Keys beside them would be used by the
// CLI in an order of its own, so a profile that has one of these is refused.
var indirect = []string{
	"credential_process", "credential_source", "login_session", "role_arn", "source_profile",
	"sso_account_id", "sso_session", "sso_start_url", "web_identity_token_file",
}

// readProfile finds one profile in the text of a credentials file: sections in
// square brackets, lines of "key = value", comments after # or ; at the
// beginning of a line. A section that stands there twice is one section, of
// which the later lines count, and indented lines are nested values that are
// not ours. Errors have line numbers and no values.
func readProfile(text, name string) (keys, error) {
	var found keys
	here, seen := false, false
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
			continue
		case line[0] == ' ' || line[0] == '\t':
			continue
		case trimmed[0] == '[':
			section, _, ok := strings.Cut(trimmed[1:], "]")
			if !ok {
				return keys{}, fmt.Errorf("line %d: a section without ]", number)
			}
			here = strings.TrimSpace(section) == name
			seen = seen || here
			continue
		}
		key, value, ok := strings.Cut(trimmed, "=")
		if !ok {
			return keys{}, fmt.Errorf("line %d: is not KEY = VALUE", number)
		}
		if here {
			if err := found.set(strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)); err != nil {
				return keys{}, fmt.Errorf("line %d: profile %q %w", number, name, err)
			}
		}
	}
	switch {
	case !seen:
		return keys{}, fmt.Errorf("has no profile %q", name)
	case found.id == "" || found.secret == "":
		return keys{}, fmt.Errorf("profile %q has not both aws_access_key_id and aws_secret_access_key", name)
	}
	return found, nil
}

func (k *keys) set(key, value string) error {
	var field *string
	switch key {
	case "aws_access_key_id":
		field = &k.id
	case "aws_secret_access_key":
		field = &k.secret
	case "aws_session_token":
		field = &k.session
	default:
		for _, other := range indirect {
			if key == other {
				return fmt.Errorf("has %s, which is not supported: only keys are", key)
			}
		}
		return nil
	}
	// They go into headers, which is why nothing else may be in them.
	if strings.IndexFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0 {
		return fmt.Errorf("has a malformed %s", key)
	}
	*field = value
	return nil
}
