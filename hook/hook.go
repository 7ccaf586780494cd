// Package hook is where the agent meets container runtimes: container facts
// come in, an admitted document goes out.
//
// The package knows what a container is to the agent (Facts, Key) and how one
// asks for a gMSA. It refuses to know how a credential spec is resolved, who
// may use it, and what a secret is: that is the [Admitter]'s business. The
// runtimes themselves are in the subpackages.
package hook

import (
	"context"
	"errors"
	"strings"
	"time"
)

// The annotations (OCI, pod) and labels (containerd, Docker) by which a container asks.
const (
	// KeyCredentialSpec names a credential spec by reference, for example "file://webapp01.json".
	KeyCredentialSpec = "gmsa-agent/credential-spec"
	// KeySecret names the secret that holds the plugin user, for example "local://contoso".
	KeySecret = "gmsa-agent/secret"
)

// Key identifies one container on this host.
type Key struct {
	Runtime   string `json:"runtime"`   // "containerd" or "docker"
	Namespace string `json:"namespace"` // containerd's namespace; empty for Docker
	ID        string `json:"id"`
}

// String is "runtime/namespace/id".
func (k Key) String() string { return k.Runtime + "/" + k.Namespace + "/" + k.ID }

// Docker is the key under which Docker knows a container of containerd, if Docker
// runs on containerd and it is one of its: those are in the namespace "moby".
func (k Key) Docker() (Key, bool) {
	return Key{Runtime: "docker", ID: k.ID}, k.Runtime == "containerd" && k.Namespace == "moby"
}

// Facts are what a runtime says of a container before it runs. They are data
// of whoever creates containers: bounded by the runtime, trusted for nothing
// but which container it is.
type Facts struct {
	Key
	Image       string            `json:"image,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Bundle      string            `json:"bundle,omitempty"` // OCI bundle folder, if there is one
	// CredentialSpec is what stands in the place that the runtime itself has
	// for it (OCI windows.credentialSpec, Docker's security option): a whole
	// document or a reference. Empty if there is nothing.
	CredentialSpec string `json:"credentialSpec,omitempty"`
}

// Ask returns the reference by which the container asks for a gMSA. The
// annotation wins over the label, and both win over the runtime's own place.
func (f Facts) Ask() (ref string, asks bool) {
	for _, m := range []map[string]string{f.Annotations, f.Labels} {
		if v := strings.TrimSpace(m[KeyCredentialSpec]); v != "" {
			return v, true
		}
	}
	return f.CredentialSpec, f.CredentialSpec != ""
}

// Secret returns the secret reference that the container asks for, if any.
func (f Facts) Secret() string {
	for _, m := range []map[string]string{f.Annotations, f.Labels} {
		if v := strings.TrimSpace(m[KeySecret]); v != "" {
			return v
		}
	}
	return ""
}

// Admission is the agent's answer to a container that may have its gMSA.
type Admission struct {
	// Document is the credential spec that the container gets, byte for byte.
	// It carries the grant token: never log it.
	Document []byte `json:"document"`
	// Grant is the grant's public name (not its token), as audit records have it.
	Grant string `json:"grant"`
}

// Admitter decides whether a container may use the credential spec it asks for.
//
// Admit is idempotent for a container whose facts already carry the document
// that it was admitted with. Its error wraps one of package fault's kinds and
// is fit to be printed by the runtime: it names the reference and the cause,
// and no secret.
type Admitter interface {
	Admit(ctx context.Context, f Facts) (Admission, error)
	// Admitted says whether f.CredentialSpec is what the container may run
	// with: the document that it was admitted with, or one that is admitted as
	// it is. It changes nothing and leaves no record. The error says what is
	// wrong and wraps one of package fault's kinds.
	Admitted(ctx context.Context, f Facts) error
	// Holds says whether the container holds a live grant. To admit such a one
	// anew, on facts without its document, would end that grant.
	Holds(k Key) bool
}

// Tracker is told what became of containers, so that grants end with them.
type Tracker interface {
	// Ended says that the container was gone at a time, by this host's clock. A
	// grant that was made later is of a new container with the same key, and
	// stays. The reason goes to the audit.
	Ended(ctx context.Context, k Key, at time.Time, reason string) error
	// Live says which containers of a runtime exist: grants of that runtime
	// which were made before asOf (a token from Mark) and whose container is
	// not in keys are revoked.
	Live(ctx context.Context, runtime string, asOf Mark, keys []Key) error
	// Mark returns a token for "now"; take it before listing containers.
	Mark() Mark
	// Lost records that a container was started without the document it was
	// admitted for. The reason says how that was seen.
	Lost(ctx context.Context, k Key, reason string) error
}

// Mark orders grants against a listing of containers.
type Mark uint64

// Shared names a document that containers share: their runtime reads it, for
// each of them at each start, from one place that the hook keeps.
type Shared struct {
	Place     string // as the runtime and people name it: "docker file://webapp01.json"
	Reference string // the credential spec's, as configured
	Secret    string // the secret's; empty: as for a container that names none
}

// Copy is what stands, or is to stand, in a place.
type Copy struct {
	// Document is the credential spec, byte for byte. It carries the grants'
	// token: never log it.
	Document []byte
	// Made says what the document was made of, for the [Sharer] to recognise. It
	// is no secret and can be stored beside the document.
	Made string
}

// ErrReplaced says that a copy is not the one that was made last for its place.
var ErrReplaced = errors.New("the document in the place has been replaced")

// Sharer makes documents that containers share, and decides who may use them.
//
// Their token redeems as long as a container that was admitted to the document
// lives. The methods' errors are as [Admitter.Admit]'s.
type Sharer interface {
	// Share makes the document of a place from what its source says now. It is
	// last, if that says the same.
	Share(ctx context.Context, s Shared, last Copy) (Copy, error)
	// Join admits a container to a copy that Share made last for its place. One
	// that holds a grant of that copy keeps it, and no record is left. What it
	// holds of earlier copies stays; see Reread. Why goes to the audit. If the copy
	// is not the last one, the error is ErrReplaced, and nothing is recorded.
	Join(ctx context.Context, f Facts, s Shared, c Copy, why string) (Admission, error)
	// Check says whether a container that is not there yet could join. It leaves a
	// record of a refusal.
	Check(ctx context.Context, f Facts, s Shared) error
	// Take admits a container to a document that the hook does not keep, and that
	// the container gets as it is: one that would need a grant is refused. Place
	// is where it is from. With dry, nothing but a refusal is recorded.
	Take(ctx context.Context, f Facts, place string, document []byte, dry bool) error
	// Refuse records that the hook refuses a container by itself, for a reason
	// that it has found before anybody was asked. It returns that reason.
	Refuse(f Facts, reason error) error
	// Created records that a container that asks was made.
	Created(f Facts) error
	// HeldSince says when the container was admitted with the latest of its grants.
	HeldSince(k Key) (time.Time, bool)
	// Reread says that the runtime has started a container again, after it had
	// read, not before a time, what stands in its place: of copies that were
	// replaced before then, the container's grants end. A reason is recorded; an
	// empty one says that the start was admitted and is on record.
	Reread(ctx context.Context, k Key, after time.Time, reason string) error
}
