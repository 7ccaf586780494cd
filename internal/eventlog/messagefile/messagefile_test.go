package messagefile

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/gmsa-agent/gmsa-agent/internal/eventlog/catalog"
)

// parse reads a message resource as FormatMessage does.
func parse(t *testing.T, resource []byte) []Message {
	t.Helper()
	le := binary.LittleEndian
	var out []Message
	for b := range le.Uint32(resource) {
		block := resource[4+12*b:]
		at := le.Uint32(block[8:])
		for id := le.Uint32(block); id <= le.Uint32(block[4:]); id++ {
			length, flags := le.Uint16(resource[at:]), le.Uint16(resource[at+2:])
			if flags != unicode || length%4 != 0 {
				t.Errorf("message %d: length %d, flags %d", id, length, flags)
			}
			var units []uint16
			for i := at + 4; i < at+uint32(length); i += 2 {
				units = append(units, le.Uint16(resource[i:]))
			}
			text, _, _ := strings.Cut(string(utf16.Decode(units)), "\x00")
			out = append(out, Message{id, text})
			at += uint32(length)
		}
	}
	return out
}

func TestTheResourceHasEveryMessage(t *testing.T) {
	want := Messages(catalog.Events())
	if diff := cmp.Diff(want, parse(t, Resource(want))); diff != "" {
		t.Error(diff)
	}
	odd := []Message{{7, "é"}, {8, ""}, {1, "two\r\n"}, {70000, "😀"}}
	if diff := cmp.Diff([]Message{{1, "two\r\n"}, {7, "é"}, {8, ""}, {70000, "😀"}}, parse(t, Resource(odd))); diff != "" {
		t.Error(diff)
	}
}

func TestTheObjectHasTheResourceWhereTheLinkerLooks(t *testing.T) {
	resource := Resource(Messages(catalog.Events()))
	f, err := pe.NewFile(bytes.NewReader(Object(resource)))
	if err != nil {
		t.Fatal(err)
	}
	s := f.Section(".rsrc")
	if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || s == nil || len(f.Sections) != 1 || len(s.Relocs) != 1 || len(f.Symbols) != 1 {
		t.Fatalf("%+v", f)
	}
	data, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	r := s.Relocs[0]
	le := binary.LittleEndian
	at, size := le.Uint32(data[r.VirtualAddress:]), le.Uint32(data[r.VirtualAddress+4:])
	if r.Type != relocateImage || !bytes.Equal(data[at:at+size], resource) {
		t.Error("the one address in it is not the resource's")
	}
}

// The object stands in the tree, so that a plain `go build` has it; it cannot
// differ from the table.
func TestTheAgentIsLinkedWithTheTablesWords(t *testing.T) {
	const file = "../../../cmd/gmsa-agent/events_windows_amd64.syso"
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, Object(Resource(Messages(catalog.Events())))) {
		t.Errorf("%s is not of this table: run go generate ./cmd/gmsa-agent", file)
	}
}
