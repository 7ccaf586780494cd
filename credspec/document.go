package credspec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"
)

// MaxSize is the most that is read of a document, in bytes. Kubernetes admits
// 64 KiB; a document of this project's making has less than 2 KiB. The bound is
// there so that a reference to something else costs little.
const MaxSize = 1 << 20

// Document is a credential spec as its source has it.
//
// Its Data may carry a PluginInput, which for some plugins is as good as a
// password: a Document prints without it.
type Document struct {
	Data   []byte // the bytes, unchanged; the caller's own
	Ref    Ref    // what was resolved
	Origin string // where it came from, for people: a file's path, an object's address
	Digest string // SHA-256 of Data, 64 lower-case hexadecimal digits

	// Tag is the source's name for these very bytes (an ETag, a version, a
	// digest), for [Revalidator]; empty where it has none. It is not a secret.
	Tag string
	// Confirmed is when the source last said that this is its document; zero
	// is now.
	Confirmed time.Time
	// Stale says why the source could not be asked for the document, which is
	// the last that it had; nil where it was, or need not be.
	Stale error
}

// Digest is the SHA-256 of a document, as a pin has it.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Format prints where the document came from, its size and its digest.
func (d Document) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "credential spec %v from %s (%d bytes, sha256:%s)", d.Ref, d.Origin, len(d.Data), d.Digest)
}

// LogValue has what Format prints.
func (d Document) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("ref", d.Ref.String()),
		slog.String("origin", d.Origin),
		slog.Int("bytes", len(d.Data)),
		slog.String("digest", d.Digest),
	)
}

// Source resolves the references of one scheme.
//
// Resolve sets Data and Origin; the [Mux] does the rest and checks the pin. Data
// is the caller's to change. Resolve may be called by many at once. What it
// returns is what the source has now: it caches nothing that cannot be
// revalidated. It reads no more than MaxSize bytes, and it obeys ctx where it
// waits.
//
// Its error names the place (folders, address) and the cause, carries nothing
// of the document, and wraps one of
//
//   - fault.ErrNotFound: there is no such document;
//   - fault.ErrDenied: the agent may not read it, or the reference points out
//     of where it may point;
//   - fault.ErrUnavailable: it could not be asked for; a later try may succeed;
//   - fault.ErrMalformed: the reference can name nothing here, or what it names
//     can be no document (too long, not a file);
//   - errors.ErrUnsupported: this platform or build has no such source;
//   - ctx's error.
type Source interface {
	Resolve(ctx context.Context, ref Ref) (Document, error)
}
