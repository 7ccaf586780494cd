package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gmsa-agent/gmsa-agent/internal/fault"
)

// The two keys that lead to the credential spec.
const (
	keyWindows        = "windows"
	keyCredentialSpec = "credentialSpec"
)

// SetCredentialSpec returns config with document, as a JSON string, in
// windows.credentialSpec. Every other byte stays as it was: unknown fields,
// order, white space, number literals, escapes, and whatever follows the value.
//
// In the result exactly one credentialSpec is left: the spellings in other cases
// and the duplicates that encoding/json would have taken for it are removed,
// also those in duplicates of windows, so that no reader can see another
// document than the admitted one. If windows is there more than once, the last
// one, which encoding/json merges last, gets the document.
//
// The error wraps [fault.ErrMalformed] if config is not a JSON object, is larger
// than [MaxSize] or becomes so, or if document is not UTF-8, which a JSON string
// cannot carry unchanged.
func SetCredentialSpec(config, document []byte) ([]byte, error) {
	if len(config) > MaxSize {
		return nil, tooLarge(len(config))
	}
	if !utf8.Valid(document) {
		return nil, fmt.Errorf("credential spec: %w: not UTF-8", fault.ErrMalformed)
	}
	if _, err := Read(config); err != nil {
		return nil, err
	}
	start, end, err := firstValue(config)
	if err != nil {
		return nil, err
	}
	object := config[start:end]
	if object[0] != '{' {
		return nil, fmt.Errorf("config.json: %w: not an object", fault.ErrMalformed)
	}
	result := slices.Concat(config[:start], setInRoot(object, quote(document)), config[end:])
	if len(result) > MaxSize {
		return nil, tooLarge(len(result))
	}
	// What the shim will read is checked, not assumed.
	if asked, err := Read(result); err != nil || asked.CredentialSpec != string(document) {
		return nil, fmt.Errorf("config.json: %w: windows.credentialSpec cannot be set", fault.ErrMalformed)
	}
	return result, nil
}

// firstValue returns where the first JSON value of config begins and ends.
func firstValue(config []byte) (start, end int, err error) {
	var value json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(config))
	if err := decoder.Decode(&value); err != nil {
		return 0, 0, fmt.Errorf("config.json: %w: %w", fault.ErrMalformed, err)
	}
	end = int(decoder.InputOffset())
	return end - len(value), end, nil
}

// setInRoot returns the object of the whole file with document in its last windows.
func setInRoot(root, document []byte) []byte {
	fresh := slices.Concat([]byte(`{"`+keyCredentialSpec+`":`), document, []byte(`}`))
	all := members(root)
	edits := make([]edit, 0, 1)
	last := -1
	for i, m := range all {
		if strings.EqualFold(m.name, keyWindows) {
			last = i
		}
	}
	for i, m := range all {
		if !strings.EqualFold(m.name, keyWindows) {
			continue
		}
		value := root[m.value:m.end]
		switch {
		case value[0] != '{' && i == last: // null
			value = fresh
		case value[0] == '{' && i == last:
			value = setInWindows(value, document)
		case value[0] == '{':
			value = setInWindows(value, nil)
		}
		edits = append(edits, edit{m.value, m.end, value})
	}
	if last < 0 {
		edits = append(edits, appended(root, all, keyWindows, fresh))
	}
	return apply(root, edits)
}

// setInWindows returns one windows object with document as its only
// credentialSpec, or without any if document is nil.
func setInWindows(windows, document []byte) []byte {
	all := members(windows)
	last := -1
	for i, m := range all {
		if strings.EqualFold(m.name, keyCredentialSpec) {
			last = i
		}
	}
	if last < 0 {
		if document == nil {
			return windows
		}
		return apply(windows, []edit{appended(windows, all, keyCredentialSpec, document)})
	}
	var edits []edit
	kept := 0
	for i, m := range all {
		switch {
		case !strings.EqualFold(m.name, keyCredentialSpec):
			// The comma before it goes if everything before it went.
			if kept == 0 && i > 0 {
				edits = append(edits, edit{all[i-1].end, m.key, nil})
			}
			kept++
		case i == last && document != nil:
			if kept == 0 && i > 0 {
				edits = append(edits, edit{all[i-1].end, m.key, nil})
			}
			edits = append(edits, edit{m.key, m.keyEnd, []byte(`"` + keyCredentialSpec + `"`)}, edit{m.value, m.end, document})
			kept++
		default:
			// With the comma before it, if there is one.
			from := m.key
			if i > 0 {
				from = all[i-1].end
			}
			edits = append(edits, edit{from, m.end, nil})
		}
	}
	return apply(windows, edits)
}

// An edit replaces text[from:to] by with.
type edit struct {
	from, to int
	with     []byte
}

// appended is the edit that adds a member behind the last one of object.
func appended(object []byte, all []member, key string, value []byte) edit {
	at, comma := 1, ""
	if len(all) > 0 {
		at, comma = all[len(all)-1].end, ","
	}
	return edit{at, at, slices.Concat([]byte(comma+`"`+key+`":`), value)}
}

// apply makes edits, which are in order and do not overlap, in text.
func apply(text []byte, edits []edit) []byte {
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		out.Write(text[at:e.from])
		out.Write(e.with)
		at = e.to
	}
	out.Write(text[at:])
	return out.Bytes()
}

// quote returns s, which is UTF-8, as a JSON string.
func quote(s []byte) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(string(s)) // a string always encodes
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
