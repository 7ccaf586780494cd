package gcpsecretmanager

import (
	"encoding/json"
	"strings"
)

// said is what an answer that refuses says, as far as it is known what that
// means. The rest of it, texts above all, is what a server may write as it
// likes.
type said struct {
	code   string // a key of codes, or ""
	reason string // a key of reasons, or ""
	broken string // a key of states, or ""
}

// codes are those of Google's APIs:
// https://cloud.google.com/apis/design/errors#handling_errors
var codes = map[string]bool{
	"INVALID_ARGUMENT": true, "FAILED_PRECONDITION": true, "OUT_OF_RANGE": true, "UNAUTHENTICATED": true, "PERMISSION_DENIED": true,
	"NOT_FOUND": true, "ABORTED": true, "ALREADY_EXISTS": true, "RESOURCE_EXHAUSTED": true, "CANCELLED": true, "DATA_LOSS": true,
	"UNKNOWN": true, "INTERNAL": true, "UNIMPLEMENTED": true, "UNAVAILABLE": true, "DEADLINE_EXCEEDED": true,
}

// reasons are some of google.api.ErrorReason, with what they mean:
// https://github.com/googleapis/googleapis/blob/master/google/api/error_reason.proto
var reasons = map[string]string{
	"SERVICE_DISABLED":                "the API is not enabled in the project",
	"BILLING_DISABLED":                "billing is not enabled for the project",
	"CONSUMER_SUSPENDED":              "the project is suspended",
	"CONSUMER_INVALID":                "there is no such project",
	"ACCESS_TOKEN_SCOPE_INSUFFICIENT": "its access scopes lack cloud-platform",
	"ACCESS_TOKEN_EXPIRED":            "the token has expired: is this host's clock right?",
	"ACCOUNT_STATE_INVALID":           "the service account is disabled or deleted",
	"SECURITY_POLICY_VIOLATED":        "a perimeter of VPC Service Controls does not let it in",
	"LOCATION_POLICY_VIOLATED":        "a location policy does not let it in",
	"ORG_RESTRICTION_VIOLATION":       "an organization restriction does not let it in",
}

// states are those of a version that is not given out.
var states = map[string]string{
	"DISABLED":  "it is disabled",
	"DESTROYED": "it is destroyed",
}

// googleAnswer reads an error of Google's APIs.
func googleAnswer(body []byte) (s said) {
	var answer struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
			Details []struct {
				Reason string `json:"reason"`
			} `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return s
	}
	if codes[answer.Error.Status] {
		s.code = answer.Error.Status
	}
	for _, d := range answer.Error.Details {
		if reasons[d.Reason] != "" {
			s.reason = d.Reason
		}
	}
	for state := range states {
		if strings.Contains(answer.Error.Message, " is in "+state+" state") {
			s.broken = state
		}
	}
	return s
}

// String is what goes in parentheses; "" if nothing is known.
func (s said) String() string {
	if s.reason != "" {
		return s.reason
	}
	return s.code
}

func (s said) or(otherwise string) string {
	if t := s.String(); t != "" {
		return t
	}
	return otherwise
}

// meaning is what the reason says to who sets the store up.
func (s said) meaning() string { return reasons[s.reason] }

func (s said) state() string {
	if s.broken != "" {
		return states[s.broken]
	}
	return "it is disabled or destroyed, or its key in Cloud KMS is (FAILED_PRECONDITION)"
}

// oauthMeanings are those of the errors of token endpoints, for those that
// setting up goes wrong with: by the error's code, or by what its description
// has in it.
var oauthMeanings = []struct{ code, in, meaning string }{
	{"invalid_grant", "Invalid JWT Signature", "the key was deleted or disabled"},
	{"invalid_grant", "Token must be a short-lived token", "what was signed is not valid now: is this host's clock right?"},
	{"invalid_grant", "account not found", "there is no such service account"},
	{"invalid_grant", "is stale to sign-in", "the subject token has expired"},
	{"invalid_grant", "The audience in ID Token", "the subject token is for another audience"},
	{"invalid_grant", "credential's issuer", "the subject token cannot be checked with its issuer"},
	{"invalid_target", "", "the workload identity pool or its provider is disabled or deleted, or was never there"},
	{"unauthorized_client", "attribute condition", "the provider's attribute condition rejects the subject token"},
}

// oauthCodes are the errors of token endpoints (RFC 6749, section 5.2, and
// RFC 8693, section 2.2.2); true says that a later request may succeed.
var oauthCodes = map[string]bool{
	"invalid_request": false, "invalid_client": false, "invalid_grant": false, "invalid_scope": false, "invalid_target": false,
	"unauthorized_client": false, "unsupported_grant_type": false, "access_denied": false,
	"temporarily_unavailable": true, "server_error": true, "internal_failure": true,
}

// oauthAnswer reads an error of a token endpoint.
func oauthAnswer(body []byte) (code, meaning string, passes bool) {
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", "", false
	}
	passes, known := oauthCodes[answer.Error]
	if !known {
		return "", "", false
	}
	for _, m := range oauthMeanings {
		if m.code == answer.Error && strings.Contains(answer.Description, m.in) {
			return answer.Error, m.meaning, passes
		}
	}
	return answer.Error, "", passes
}
