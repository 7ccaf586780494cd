// Package seed has the file by which local stores are filled: secrets,
// encrypted to the age keys of the hosts that they are for.
//
// Within the encryption it is JSON, so that a pipeline can make one with the
// age tool and nothing of ours:
//
//	{"format": "gmsa-agent secrets 1", "secrets": [
//	  {"name": "contoso", "domain": "contoso.com", "user": "svc-gmsa", "password": "…"}
//	]}
//
// The package refuses to know where secrets are kept, and which are replaced.
package seed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
	"github.com/gmsa-agent/gmsa-agent/internal/jsontree"
	"github.com/gmsa-agent/gmsa-agent/secrets"
)

const format = "gmsa-agent secrets 1"

// MaxSize bounds a file, encrypted or not, in bytes: more than 3,000 secrets.
const MaxSize = 8 << 20

var limits = jsontree.Limits{Size: MaxSize, Depth: 4, Values: 1 << 16, Name: 64}

// Entry is one secret of a file.
type Entry struct {
	Name       string // of the local store, without "local://"
	Credential *secrets.Credential
}

// Write writes a file of the entries, which whoever has one of the recipients'
// keys can read. Armored means as text.
func Write(w io.Writer, entries []Entry, armored bool, to ...age.Recipient) (err error) {
	text := encode(entries)
	defer clear(text)
	if len(text) > MaxSize {
		return fmt.Errorf("%d secrets are more than a file of %d bytes has room for: %w", len(entries), MaxSize, fault.ErrMalformed)
	}
	var sink io.WriteCloser = nopCloser{w}
	if armored {
		sink = armor.NewWriter(w)
	}
	sealed, err := age.Encrypt(sink, to...)
	if err != nil {
		return fmt.Errorf("encrypt the secrets: %w", err)
	}
	if _, err = sealed.Write(text); err == nil {
		err = sealed.Close()
	}
	return errors.Join(err, sink.Close())
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func encode(entries []Entry) []byte {
	size := 128
	for _, e := range entries {
		// An escape takes six bytes at most for one.
		size += 128 + 6*(len(e.Name)+len(e.Credential.Domain)+len(e.Credential.User)+len(e.Credential.Password.Bytes()))
	}
	// At full size from the beginning: a growing buffer leaves copies behind.
	b := make([]byte, 0, size)
	b = append(b, `{"format":`...)
	b = appendQuoted(b, []byte(format))
	b = append(b, `,"secrets":[`...)
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = appendQuoted(b, []byte(e.Name))
		b = append(b, `,"domain":`...)
		b = appendQuoted(b, []byte(e.Credential.Domain))
		b = append(b, `,"user":`...)
		b = appendQuoted(b, []byte(e.Credential.User))
		b = append(b, `,"password":`...)
		b = appendQuoted(b, e.Credential.Password.Bytes())
		b = append(b, '}')
	}
	return append(b, "]}\n"...)
}

// appendQuoted appends text, which is UTF-8, as a JSON string. encoding/json
// would leave copies of a password in its own buffers.
func appendQuoted(b, text []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// Read reads a file with one of the identities. Its errors wrap
// fault.ErrDenied if none of them can open it, and fault.ErrMalformed if the
// file is none, was changed, is too long, or holds what is no credential; they
// name the entry by its name or number, and nothing else of it. The caller
// wipes the credentials.
func Read(r io.Reader, with ...age.Identity) (_ []Entry, err error) {
	in := bufio.NewReader(io.LimitReader(r, MaxSize))
	var sealed io.Reader = in
	if start, _ := in.Peek(len(armor.Header)); string(start) == armor.Header {
		sealed = armor.NewReader(in)
	}
	opened, err := age.Decrypt(sealed, with...)
	if err != nil {
		if _, none := errors.AsType[*age.NoIdentityMatchError](err); none {
			return nil, fmt.Errorf("the file is for other keys than yours: %w", fault.ErrDenied)
		}
		return nil, fmt.Errorf("not an age file, or one that was changed: %w", fault.ErrMalformed) // age quotes the file
	}
	text := make([]byte, MaxSize)
	defer clear(text)
	n, err := io.ReadFull(opened, text)
	switch {
	case err == nil:
		return nil, fmt.Errorf("longer than %d bytes: %w", MaxSize, fault.ErrMalformed)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF), truncated(err):
		return nil, fmt.Errorf("the file was changed or cut short: %w", fault.ErrMalformed)
	}
	return decode(text[:n])
}

// truncated tells age's own complaint about a file that ends early from
// io.ReadFull's about a buffer that was not filled.
func truncated(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) && err != io.ErrUnexpectedEOF
}

func decode(text []byte) (entries []Entry, err error) {
	defer func() {
		if err != nil {
			Wipe(entries)
			entries = nil
		}
	}()
	root, err := jsontree.Parse(text, limits)
	if err != nil {
		return nil, fmt.Errorf("the content is not JSON: %w: %w", err, fault.ErrMalformed)
	}
	var head string
	var list *jsontree.Value
	if err := members(root, map[string]func(*jsontree.Value) error{
		"format":  text1(&head),
		"secrets": func(v *jsontree.Value) error { list = v; return is(v, jsontree.Array) },
	}); err != nil {
		return nil, fmt.Errorf("the content %w: %w", err, fault.ErrMalformed)
	}
	if head != format {
		return nil, fmt.Errorf("the content's format is not %q: %w", format, fault.ErrMalformed)
	}
	seen := map[string]bool{}
	for i := range list.Elements {
		e, err := entry(&list.Elements[i])
		entries = append(entries, e)
		if err != nil {
			return entries, fmt.Errorf("secret %d %w", i+1, err)
		}
		if seen[e.Name] {
			return entries, fmt.Errorf("secret %d: the name %s is there twice: %w", i+1, e.Name, fault.ErrMalformed)
		}
		seen[e.Name] = true
	}
	return entries, nil
}

func entry(v *jsontree.Value) (Entry, error) {
	c := &secrets.Credential{}
	e := Entry{Credential: c}
	var name, password string
	if err := members(v, map[string]func(*jsontree.Value) error{
		"name": text1(&name), "domain": text1(&c.Domain), "user": text1(&c.User), "password": text1(&password),
	}); err != nil {
		return e, fmt.Errorf("%w: %w", err, fault.ErrMalformed)
	}
	ref, err := secrets.ParseRef("local://" + name)
	if err != nil {
		return e, fmt.Errorf("has an unusable name: %w", err)
	}
	e.Name = ref.Rest
	c.Password = secrets.New([]byte(password))
	if err := c.Validate(); err != nil {
		return e, fmt.Errorf("(%s): %w", e.Name, err)
	}
	return e, nil
}

// members wants an object with exactly these members.
func members(v *jsontree.Value, want map[string]func(*jsontree.Value) error) error {
	if err := is(v, jsontree.Object); err != nil {
		return err
	}
	have := map[string]bool{}
	for i := range v.Members {
		m := &v.Members[i]
		read, known := want[m.Name]
		switch {
		case !known:
			return errors.New("has a member that is not known") // without its name, which may be a password
		case have[m.Name]:
			return fmt.Errorf("has %q twice", m.Name)
		}
		have[m.Name] = true
		if err := read(&m.Value); err != nil {
			return fmt.Errorf("has %q, which %w", m.Name, err)
		}
	}
	for name := range want {
		if !have[name] {
			return fmt.Errorf("has no %q", name)
		}
	}
	return nil
}

func text1(to *string) func(*jsontree.Value) error {
	return func(v *jsontree.Value) error {
		*to = v.Text
		return is(v, jsontree.String)
	}
}

func is(v *jsontree.Value, kind jsontree.Kind) error {
	if v.Kind != kind {
		return fmt.Errorf("is %v and should be %v", v.Kind, kind)
	}
	return nil
}

// Wipe overwrites the passwords.
func Wipe(entries []Entry) {
	for _, e := range entries {
		e.Credential.Wipe()
	}
}

// Recipient is who can open a file: a public key.
type Recipient = age.Recipient

// NewKey makes a key: the private half, as Identities reads it, and the public
// one, as Recipients does.
func NewKey() (private, public string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	return id.String(), id.Recipient().String(), nil
}

// Recipients reads public keys of age (age1…), one a line; blank lines and
// those that begin with "#" are skipped. Its errors wrap fault.ErrMalformed.
func Recipients(text []byte) ([]age.Recipient, error) {
	to, err := age.ParseRecipients(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("not public keys of age, one a line (age1…): %w", fault.ErrMalformed) // age quotes the line
	}
	return to, nil
}

// Identities reads private keys of age (AGE-SECRET-KEY-1…), as Recipients
// does. Its errors quote nothing.
func Identities(text []byte) ([]age.Identity, error) {
	with, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("not private keys of age, one a line (AGE-SECRET-KEY-1…): %w", fault.ErrMalformed)
	}
	return with, nil
}
