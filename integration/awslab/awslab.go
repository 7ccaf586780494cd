// Package awslab is the AWS lab: moto, a server with the APIs of Systems Manager and Secrets Manager, and Amazon's own double of the EC2 metadata service.
//
// The lab needs Linux. It listens on loopback addresses only, and leaves no
// process and no file behind when it is stopped.
package awslab
