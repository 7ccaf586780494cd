// Package awslab is the AWS lab: moto, a server with the APIs of Systems
// Manager, Secrets Manager, STS and much else, and Amazon's own double of the
// EC2 metadata service.
//
// moto answers as AWS does and keeps what it is told in memory. It checks
// neither signatures nor permissions: what AWS refuses has to be shown against
// something else.
//
// The lab needs Linux. It listens on loopback addresses only, and leaves no
// process and no file behind when it is stopped.
package awslab
