package azurekeyvault

import (
	"encoding/json"
	"strconv"
)

// codes are what an answer that refuses says, as far as it is known what that
// means. The rest of it, texts above all, is what a server may write as it
// likes.
type codes struct {
	code    string // a key of vaultCodes or oauthCodes, or ""
	inner   string // a key of innerCodes, or ""
	numbers []int  // Entra ID's: the digits of AADSTS700016
}

// vaultCodes are the codes of Key Vault's errors:
// https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
var vaultCodes = map[string]bool{
	"Unauthorized": true, "Forbidden": true, "SecretNotFound": true, "BadParameter": true, "Throttled": true,
}

// innerCodes are those of a 403, with what they mean.
var innerCodes = map[string]string{
	"SecretDisabled":        "the secret is disabled",
	"ForbiddenByRbac":       "it has no role that lets it read the secret",
	"ForbiddenByPolicy":     "no access policy of the vault lets it read secrets",
	"AccessDenied":          "no access policy of the vault lets it read secrets",
	"ForbiddenByFirewall":   "the vault's firewall does not let this host in",
	"ForbiddenByConnection": "the vault lets in private endpoints only",
}

// oauthCodes are the errors of Entra ID and IMDS; true says that a later
// request may succeed.
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes
var oauthCodes = map[string]bool{
	"invalid_request": false, "invalid_client": false, "invalid_grant": false, "invalid_scope": false,
	"invalid_resource": false, "unauthorized_client": false, "unsupported_grant_type": false, "access_denied": false,
	"temporarily_unavailable": true, "server_error": true,
}

// meanings of Entra ID's numbers, for those that setting up goes wrong with.
var meanings = map[int]string{
	90002:  "there is no such tenant",
	700016: "the tenant has no such application",
	700024: "what was signed is not valid now: is this host's clock right, and the token file fresh?",
	700027: "the certificate is not one of the application's",
	70021:  "the token file's token matches no federated credential of the application",
	700211: "the token file's issuer matches no federated credential of the application",
	700212: "the token file's audience matches no federated credential of the application",
	700213: "the token file's subject matches no federated credential of the application",
}

// vaultAnswer reads an error of Key Vault.
func vaultAnswer(body []byte) (c codes) {
	var said struct {
		Error struct {
			Code  string `json:"code"`
			Inner struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &said) != nil {
		return c
	}
	if vaultCodes[said.Error.Code] {
		c.code = said.Error.Code
	}
	if innerCodes[said.Error.Inner.Code] != "" {
		c.inner = said.Error.Inner.Code
	}
	return c
}

// oauthAnswer reads an error of Entra ID or IMDS.
func oauthAnswer(body []byte) (c codes) {
	var said struct {
		Error   string `json:"error"`
		Numbers []int  `json:"error_codes"`
	}
	if json.Unmarshal(body, &said) != nil {
		return c
	}
	if _, known := oauthCodes[said.Error]; known {
		c.code = said.Error
	}
	// They have four to seven digits; anything else is none of them.
	for _, n := range said.Numbers {
		if n >= 1000 && n < 10_000_000 && len(c.numbers) < 3 {
			c.numbers = append(c.numbers, n)
		}
	}
	return c
}

// json is what the SDK gets to read, and to log if somebody has it do so.
func (c codes) json() []byte {
	said := map[string]any{"error": map[string]any{"code": c.code, "innererror": map[string]any{"code": c.inner}}}
	if _, oauth := oauthCodes[c.code]; oauth {
		said = map[string]any{"error": c.code, "error_codes": c.numbers}
	}
	b, _ := json.Marshal(said) // texts and numbers
	return b
}

// String is what goes in parentheses after a status; "" if nothing is known.
func (c codes) String() string {
	if len(c.numbers) > 0 {
		return "AADSTS" + strconv.Itoa(c.numbers[0])
	}
	return c.code
}

// meaning is what the codes say to who sets the store up.
func (c codes) meaning() string {
	for _, n := range c.numbers {
		if m := meanings[n]; m != "" {
			return m
		}
	}
	return innerCodes[c.inner]
}

// number is a header's value that is a small number; else "". A Retry-After
// that is a date, which none of these services sends, counts as none.
func number(header string) string {
	if n, err := strconv.Atoi(header); err == nil && n > 0 && n < 1_000_000 {
		return strconv.Itoa(n)
	}
	return ""
}
