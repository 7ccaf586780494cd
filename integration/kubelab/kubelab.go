// Package kubelab is the Kubernetes lab: a real kube-apiserver with etcd and the GMSACredentialSpec CRD.
//
// The lab needs Linux. It listens on loopback addresses only, and leaves no
// process and no file behind when it is stopped.
package kubelab
