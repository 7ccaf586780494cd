package s3

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// maxKey bounds a key, in bytes of UTF-8.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const maxKey = 1024

// object is what a reference names.
type object struct {
	bucket, key string
	partition   string // of an ARN, else empty
}

// String is the object as people write it.
func (o object) String() string { return "s3://" + o.bucket + "/" + o.key }

// bucketForm is what buckets' names are made of: AWS's rules of today, and of
// before 2018 (capital letters, underscores, up to 255 characters). Dots beside
// each other or a hyphen are refused too, since a name may become part of a
// host name.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
var bucketForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$`)

// parse reads BUCKET/KEY or an ARN. Its errors wrap fault.ErrMalformed or
// errors.ErrUnsupported.
func parse(rest string) (object, error) {
	var o object
	if arn, ok := strings.CutPrefix(rest, "arn:"); ok {
		parts := strings.SplitN(arn, ":", 5) // partition, service, region, account, resource
		if len(parts) != 5 {
			return object{}, fmt.Errorf("%.80q is not arn:aws:s3:::BUCKET/KEY: %w", rest, fault.ErrMalformed)
		}
		if parts[2] != "" || parts[3] != "" {
			return object{}, fmt.Errorf("%s has a region or an account: access points are not supported, only arn:aws:s3:::BUCKET/KEY: %w", rest, errors.ErrUnsupported)
		}
		o.partition, rest = parts[0], parts[4]
	}
	o.bucket, o.key, _ = strings.Cut(rest, "/")
	switch {
	case len(o.bucket) < 3 || len(o.bucket) > 255 || !bucketForm.MatchString(o.bucket):
		return object{}, fmt.Errorf("bucket %.80q: no bucket has such a name: %w", o.bucket, fault.ErrMalformed)
	case strings.HasSuffix(o.bucket, "--x-s3"):
		return object{}, fmt.Errorf("bucket %s is a directory bucket, which is not supported: %w", o.bucket, errors.ErrUnsupported)
	case o.key == "" || len(o.key) > maxKey:
		return object{}, fmt.Errorf("the key of bucket %s has %d bytes; 1 to %d are allowed: %w", o.bucket, len(o.key), maxKey, fault.ErrMalformed)
	}
	return o, nil
}
