package ssm

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// parameter is what a reference names.
type parameter struct {
	name              string // as GetParameter takes it: a name, or a whole ARN
	partition, region string // of an ARN, else empty
}

// nameForm is what parameters' names are made of, with what may follow to
// choose a version or a label.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
var nameForm = regexp.MustCompile(`^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*(:[A-Za-z0-9_.-]+)?$`)

// maxName bounds a name and an ARN, in bytes; it is GetParameter's own bound.
const maxName = 2048

// parse reads a name or an ARN. Its errors wrap fault.ErrMalformed.
//
// A name with a slash in it has one at its beginning too, for the service; for
// ssm://a/b that one is added. An ARN goes to the service as it is: the ARNs of
// "name" and "/name" are the same, and a parameter that another account shares
// can be had by nothing else.
func parse(rest string) (parameter, error) {
	p := parameter{name: rest}
	name := rest
	if arn, ok := strings.CutPrefix(rest, "arn:"); ok {
		parts := strings.SplitN(arn, ":", 5) // partition, service, region, account, resource
		if len(parts) != 5 || !strings.HasPrefix(parts[4], "parameter/") {
			return parameter{}, fmt.Errorf("%.80q is not arn:aws:ssm:REGION:ACCOUNT:parameter/NAME: %w", rest, fault.ErrMalformed)
		}
		if strings.Trim(parts[3], "0123456789") != "" {
			return parameter{}, fmt.Errorf("%.80q: the ARN's account is not a number: %w", rest, fault.ErrMalformed)
		}
		p.partition, p.region = parts[0], parts[2]
		name = strings.TrimPrefix(parts[4], "parameter") // of which the slash is the name's first
	} else if !strings.HasPrefix(rest, "/") && strings.Contains(rest, "/") {
		p.name = "/" + rest
	}
	if len(p.name) > maxName || !nameForm.MatchString(name) {
		return parameter{}, fmt.Errorf("%.80q: no parameter has such a name (letters, digits, . _ - and / between them): %w", name, fault.ErrMalformed)
	}
	return p, nil
}
