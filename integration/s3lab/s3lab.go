// Package s3lab is the object storage lab: a real S3 server (versitygw), which checks signatures.
//
// The lab needs Linux. It listens on loopback addresses only, and leaves no
// process and no file behind when it is stopped.
package s3lab
