package awsclient

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// ofClocks are the codes with which AWS refuses a signature whose time is not
// its own, or one that is wrong: some services have one code for both.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
var ofClocks = []string{"InvalidSignatureException", "RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}

// tolerance is what services take of a difference between the clocks: the least
// that one of them does. The SDK signs anew with the server's time from there
// on, so what gets here is what was not mended by that.
const tolerance = 4 * time.Minute

// ofClock adds to a refused signature what is known of the clocks. A request
// that fails for the time of day was not refused for who makes it.
func ofClock(err error, text string, kind error) (string, error) {
	ahead, known := aheadOf(err)
	switch {
	case known && ahead > tolerance:
		return fmt.Sprintf("%s (this host's clock is %v ahead of the server's)", text, ahead), fault.ErrUnavailable
	case known && -ahead > tolerance:
		return fmt.Sprintf("%s (this host's clock is %v behind the server's)", text, -ahead), fault.ErrUnavailable
	case kind == fault.ErrDenied:
		return text + " (the secret key is wrong, or this host's clock)", kind
	}
	return text + " (this host's clock may be wrong)", kind
}

// aheadOf is how far this host's clock is ahead of the one of the server that
// answered, in whole seconds.
func aheadOf(err error) (d time.Duration, ok bool) {
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response == nil || resp.Response.Response == nil {
		return 0, false
	}
	at, e := http.ParseTime(resp.Response.Header.Get("Date"))
	if e != nil {
		return 0, false
	}
	return time.Since(at).Round(time.Second), true
}
