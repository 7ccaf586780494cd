// Package s3lab is the object storage lab: a real S3 server (versitygw), which
// checks signatures, with two accounts that may not read each other's buckets.
//
// The lab needs Linux. It listens on a loopback address only, and leaves no
// process and no file behind when it is stopped. Its keys and its certificate
// are new with every start.
package s3lab
