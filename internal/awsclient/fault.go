package awsclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/outbound"
)

// credentialsError says that no credentials were had.
type credentialsError struct {
	from string // Config.Credentials
	err  error
}

func (e *credentialsError) Error() string {
	return "no credentials from " + e.from + ": " + e.err.Error()
}
func (e *credentialsError) Unwrap() error { return e.err }

// UnconfiguredError says what the settings lack for AWS to be asked. It wraps
// errors.ErrUnsupported.
type UnconfiguredError struct {
	Problem string
}

func (e *UnconfiguredError) Error() string { return e.Problem + ": " + errors.ErrUnsupported.Error() }
func (e *UnconfiguredError) Unwrap() error { return errors.ErrUnsupported }

func unconfigured(format string, args ...any) error {
	return &UnconfiguredError{fmt.Sprintf(format, args...)}
}

// Fault gives an error of the SDK its fault kind, or ctx's error if that has
// ended, and takes everything out of it but AWS's status and error code and the
// network's complaint: neither the request nor AWS's own words, which may repeat
// it, are in the text. The caller adds what was asked for.
//
// Credentials that AWS does not take are forgotten: the next request gets
// others, if there are.
func (c *Client) Fault(ctx context.Context, err error) error {
	if c.cache != nil && slices.Contains(badCredentials, Code(err)) {
		c.cache.Invalidate()
	}
	return explain(ctx, err)
}

// Code is AWS's error code in an error of the SDK; empty if it has none.
func Code(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// Status is the HTTP status in an error of the SDK; 0 if it has none.
func Status(err error) int {
	if resp, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		return resp.HTTPStatusCode()
	}
	return 0
}

// OfKey says whether what AWS refuses is the KMS key that something is encrypted
// with, and not the thing itself. For some it has one code for both, and only
// its words tell them apart.
func OfKey(err error) bool {
	switch code := Code(err); {
	case kinds[code] == fault.ErrUnavailable:
		return false
	case code == "DecryptionFailure", code == "InvalidKeyId", strings.HasPrefix(code, "KMS"):
		return true
	case code == "AccessDenied", code == "AccessDeniedException":
		text := err.Error()
		return strings.Contains(text, "kms:") || strings.Contains(text, "Access to KMS") || strings.Contains(text, "The ciphertext refers to")
	}
	return false
}

func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text, kind := describe(err)
	if creds, ok := errors.AsType[*credentialsError](err); ok {
		text = "no credentials from " + creds.from + ": " + text
		if creds.from == instance || kind != fault.ErrDenied {
			// An instance without a role, or an agent beside the container that
			// answers nonsense, is not AWS's word on who may read.
			kind = fault.ErrUnavailable
		}
	}
	told := fmt.Errorf("%s: %w", text, kind)
	if wait := retryAfter(err); wait > 0 && kind == fault.ErrUnavailable {
		return &busyError{told, wait}
	}
	return told
}

// busyError is unavailable, and says when the service wants to be asked again.
type busyError struct {
	error
	wait time.Duration
}

func (e *busyError) Unwrap() error { return e.error }

// RetryAfter implements secrets.Throttle.
func (e *busyError) RetryAfter() time.Duration { return e.wait }

// retryAfter is how long an answer asks to wait, zero if it does not: AWS says
// so in milliseconds, what stands before it in seconds.
func retryAfter(err error) time.Duration {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response == nil {
		return 0
	}
	for header, unit := range map[string]time.Duration{"X-Amz-Retry-After": time.Millisecond, "Retry-After": time.Second} {
		if n, err := strconv.Atoi(resp.Response.Header.Get(header)); err == nil && n > 0 && n < 1_000_000 {
			return time.Duration(n) * unit
		}
	}
	return 0
}

// describe finds the words and the fault kind for an error of the SDK.
func describe(err error) (text string, kind error) {
	status, code := Status(err), Code(err)
	switch {
	case errors.Is(err, errTooLong):
		return errTooLong.Error(), fault.ErrMalformed
	case code != "":
		text, kind = strings.TrimPrefix(strconv.Itoa(status)+" ", "0 ")+printable(code), kindOf(status, code)
		if slices.Contains(ofClocks, code) {
			return ofClock(err, text, kind)
		}
		return text, kind
	case status >= 300:
		return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status))), kindOf(status, "")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the answer ends early", fault.ErrUnavailable
	}
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		return "an error without a code", fault.ErrUnavailable // whose text is what the server sent
	}
	if _, ok := errors.AsType[*smithy.DeserializationError](err); ok {
		return "the answer is not in the service's form", fault.ErrUnavailable // what is wrong with it may be quoted
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err := outbound.Explain(u.Err)
		kind = fault.ErrUnavailable
		if errors.Is(err, fault.ErrDenied) {
			kind = fault.ErrDenied
		}
		// The rest of the URL may be for nobody but the container.
		if at, e := url.Parse(u.URL); e == nil {
			err = fmt.Errorf("%s: %w", at.Host, err)
		}
		return printable(strings.TrimSuffix(err.Error(), ": "+kind.Error())), kind
	}
	text = strings.TrimSuffix(err.Error(), ": "+fault.ErrUnavailable.Error())
	if creds, ok := errors.AsType[*credentialsError](err); ok {
		text = strings.TrimSuffix(creds.err.Error(), ": "+fault.ErrUnavailable.Error())
	}
	return printable(text), fault.ErrUnavailable
}

// badCredentials are the codes that say that the credentials are no good (any
// more), as against those that say what they may not.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/CommonErrors.html
var badCredentials = []string{
	"ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException",
	"InvalidToken", "SignatureDoesNotMatch", "UnrecognizedClientException",
}

// kinds are the fault kinds of error codes, where the status does not say it:
// AWS's JSON services answer nearly everything with 400.
var kinds = map[string]error{
	"NoSuchBucket":              fault.ErrNotFound,
	"NoSuchKey":                 fault.ErrNotFound,
	"ParameterNotFound":         fault.ErrNotFound,
	"ParameterVersionNotFound":  fault.ErrNotFound,
	"ResourceNotFoundException": fault.ErrNotFound,

	"AccessDenied":                        fault.ErrDenied,
	"AccessDeniedException":               fault.ErrDenied,
	"DecryptionFailure":                   fault.ErrDenied, // Secrets Manager's for a KMS key that can't be used
	"IncompleteSignature":                 fault.ErrDenied,
	"InvalidIdentityToken":                fault.ErrDenied,
	"InvalidKeyId":                        fault.ErrDenied, // SSM's for a KMS key that can't be used
	"MissingAuthenticationToken":          fault.ErrDenied,
	"MissingAuthenticationTokenException": fault.ErrDenied,
	"NotAuthorized":                       fault.ErrDenied,
	"OptInRequired":                       fault.ErrDenied,

	"IDPCommunicationError":                  fault.ErrUnavailable,
	"InternalError":                          fault.ErrUnavailable,
	"InternalServerError":                    fault.ErrUnavailable,
	"InternalServiceError":                   fault.ErrUnavailable,
	"InvalidObjectState":                     fault.ErrUnavailable, // S3: archived, can be restored
	"KMS.ThrottlingException":                fault.ErrUnavailable,
	"KMSInternalException":                   fault.ErrUnavailable,
	"KMSThrottlingException":                 fault.ErrUnavailable,
	"PriorRequestNotComplete":                fault.ErrUnavailable,
	"ProvisionedThroughputExceededException": fault.ErrUnavailable,
	"RequestExpired":                         fault.ErrUnavailable, // the clocks differ
	"RequestLimitExceeded":                   fault.ErrUnavailable,
	"RequestTimeTooSkewed":                   fault.ErrUnavailable,
	"RequestTimeout":                         fault.ErrUnavailable,
	"ServiceUnavailable":                     fault.ErrUnavailable,
	"SlowDown":                               fault.ErrUnavailable,
	"Throttling":                             fault.ErrUnavailable,
	"ThrottlingException":                    fault.ErrUnavailable,
	"TooManyUpdates":                         fault.ErrUnavailable,
}

func kindOf(status int, code string) error {
	if kind, ok := kinds[code]; ok {
		return kind
	}
	switch {
	case slices.Contains(badCredentials, code), strings.HasPrefix(code, "KMS"), status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fault.ErrDenied
	case status == http.StatusNotFound, status == http.StatusGone:
		return fault.ErrNotFound
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		return fault.ErrMalformed
	}
	return fault.ErrUnavailable
}

// maxText bounds what is repeated of a server's words, in bytes.
const maxText = 300

// printable makes a server's text fit for a line of a log.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}
