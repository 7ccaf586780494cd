// Package kubelab is the Kubernetes lab: a real kube-apiserver over a real etcd,
// with RBAC and the GMSACredentialSpec API, and clients with identities of any
// name. There is no node and no controller in it: what a controller would make
// (a service account of a new namespace) is made by hand, and no pod runs.
//
// The lab needs Linux and no root. It listens on a loopback address only, with
// keys and certificates of its own each time, several may run at once, and it
// leaves no process and no file behind when it is stopped.
package kubelab
