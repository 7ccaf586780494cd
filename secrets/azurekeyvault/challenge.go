package azurekeyvault

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// maxChallenge bounds the parameters of a challenge, in bytes.
const maxChallenge = 16 << 10

// vet checks a vault's challenge, and says it again so that the SDK can't
// misread it; "" if there is none to act on.
//
// A vault says for which service and in which tenant it wants a token. The SDK
// believes it if the vault's host ends in the service's, and "net" is such an
// end; here it is the one service that the vault's host stands for. The tenant
// is only compared with the identity's.
func (t target) vet(h http.Header) (challenge string, err error) {
	said, ok := bearerChallenge(h.Values("WWW-Authenticate"))
	if !ok {
		return "", nil // there is nothing that the SDK could act on
	}
	if said["error"] == "insufficient_claims" {
		// Continuous access evaluation: the token must say more.
		claims, err := base64.StdEncoding.DecodeString(said["claims"])
		if err != nil || !json.Valid(claims) {
			return "", fmt.Errorf("%s asks for a token with claims that are none: %w", t.host, fault.ErrUnavailable)
		}
		return `Bearer realm="", error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString(claims) + `"`, nil
	}
	resource := said["scope"]
	if resource == "" {
		resource = said["resource"]
	}
	resource = strings.TrimSuffix(strings.TrimSuffix(resource, "/.default"), "/")
	if !strings.EqualFold(resource, t.cloud.audience) {
		return "", fmt.Errorf("%s asks for a token for something else than %s: %w", t.host, t.cloud.audience, fault.ErrDenied)
	}
	u, err := url.Parse(said["authorization"])
	if err != nil {
		return "", fmt.Errorf("%s does not say which tenant it belongs to: %w", t.host, fault.ErrUnavailable)
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if tenant = strings.ToLower(tenant); !guid.MatchString(tenant) {
		return "", fmt.Errorf("%s does not say which tenant it belongs to: %w", t.host, fault.ErrUnavailable)
	}
	return fmt.Sprintf(`Bearer authorization="https://%s/%s", resource="%s"`, t.cloud.authorities[0], tenant, t.cloud.audience), nil
}

// bearerChallenge returns the parameters of the first Bearer challenge
// (RFC 9110, section 11.6.1), keys in lower case. ok is false if there is none
// that can be read.
func bearerChallenge(headers []string) (params map[string]string, ok bool) {
	for _, h := range headers {
		scheme, rest, _ := strings.Cut(strings.TrimLeft(h, " \t"), " ")
		if strings.EqualFold(scheme, "Bearer") && len(h) <= maxChallenge {
			return authParams(rest)
		}
	}
	return nil, false
}

// authParams reads key=value and key="value", between commas or, as Key Vault
// had it once, blanks. A key that is given twice is refused: which one counts
// would depend on the reader.
func authParams(s string) (map[string]string, bool) {
	params := map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return params, len(params) > 0
		}
		key, rest, ok := strings.Cut(s, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if _, twice := params[key]; !ok || twice || key == "" || strings.ContainsAny(key, " \t\",") {
			return nil, false
		}
		var value string
		if rest = strings.TrimLeft(rest, " \t"); strings.HasPrefix(rest, `"`) {
			// No parameter of a vault's has a quoted pair in it.
			value, rest, ok = strings.Cut(rest[1:], `"`)
			if !ok || strings.Contains(value, `\`) {
				return nil, false
			}
		} else if end := strings.IndexAny(rest, " \t,"); end >= 0 {
			value, rest = rest[:end], rest[end:]
		} else {
			value, rest = rest, ""
		}
		params[key], s = value, rest
	}
}
