// Package messagefile makes what Windows reads an event's words from: a message
// resource, and an object file that links it into a program.
//
// It is used when the program is built and not by the program.
package messagefile

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf16"

	"github.com/gmsa-agent/gmsa-agent/internal/eventlog"
)

// Message is a text and the number by which FormatMessage finds it.
type Message struct {
	ID   uint32
	Text string
}

// Messages are the texts of events, and of the categories. An event's number is
// its ID alone, without the severity that mc.exe puts into the upper bits, so
// that the ID is the same everywhere that it is shown.
func Messages(events []eventlog.Event) []Message {
	var all []Message
	for i, c := range eventlog.Categories {
		all = append(all, Message{uint32(i + 1), c.Name + "\r\n"})
	}
	for _, e := range events {
		all = append(all, Message{uint32(e.ID), e.Message()})
	}
	return all
}

// Resource is the messages as an RT_MESSAGETABLE has them: blocks of messages
// whose numbers follow on each other, and their entries.
//
// https://learn.microsoft.com/windows/win32/api/winnt/ns-winnt-message_resource_data
func Resource(messages []Message) []byte {
	messages = slices.Clone(messages)
	slices.SortFunc(messages, func(a, b Message) int { return int(a.ID) - int(b.ID) })
	type block struct{ low, high, offset uint32 }
	var blocks []block
	var entries []byte
	for _, m := range messages {
		if n := len(blocks); n > 0 && blocks[n-1].high+1 == m.ID {
			blocks[n-1].high = m.ID
		} else {
			blocks = append(blocks, block{m.ID, m.ID, uint32(len(entries))})
		}
		entries = append(entries, entry(m.Text)...)
	}
	start := uint32(4 + 12*len(blocks))
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(blocks)))
	for _, b := range blocks {
		out = binary.LittleEndian.AppendUint32(out, b.low)
		out = binary.LittleEndian.AppendUint32(out, b.high)
		out = binary.LittleEndian.AppendUint32(out, start+b.offset)
	}
	return append(out, entries...)
}

// unicode is MESSAGE_RESOURCE_UNICODE.
const unicode = 1

// entry is a MESSAGE_RESOURCE_ENTRY: its length, a flag, and the text with its
// terminator, filled up to four bytes.
func entry(text string) []byte {
	units := append(utf16.Encode([]rune(text)), 0)
	if len(units)%2 != 0 {
		units = append(units, 0)
	}
	out := binary.LittleEndian.AppendUint16(nil, uint16(4+2*len(units)))
	out = binary.LittleEndian.AppendUint16(out, unicode)
	for _, u := range units {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return out
}

// The numbers of the object file and of its resource directory.
//
// https://learn.microsoft.com/windows/win32/debug/pe-format
const (
	machineAMD64     = 0x8664 // IMAGE_FILE_MACHINE_AMD64
	relocateImage    = 3      // IMAGE_REL_AMD64_ADDR32NB: an address relative to the image's
	sectionData      = 0x40000040
	classStatic      = 3  // IMAGE_SYM_CLASS_STATIC
	typeMessageTable = 11 // RT_MESSAGETABLE
	english          = 0x409
	subdirectory     = 1 << 31

	directorySize = 16 + 8 // with its one entry
	dataEntrySize = 16
	fileHeader    = 20
	sectionHeader = 40
	relocation    = 10
)

// Object is an object file for windows/amd64 with the resource in it. The Go
// linker takes it into a program beside whose source it stands, by the name
// ….syso; a program can have one such section, so that whatever else is to be a
// resource of the program must go into this one.
func Object(resource []byte) []byte {
	// Three directories, one in the other: type, name, language.
	var section bytes.Buffer
	directory := func(id, next uint32) {
		write(&section, uint32(0), uint32(0), uint16(0), uint16(0), uint16(0), uint16(1), id, next)
	}
	directory(typeMessageTable, subdirectory|directorySize)
	directory(1, subdirectory|2*directorySize)
	directory(english, 3*directorySize)
	data := uint32(3*directorySize + dataEntrySize)
	write(&section, data, uint32(len(resource)), uint32(0), uint32(0))
	section.Write(resource)
	for section.Len()%4 != 0 {
		section.WriteByte(0)
	}

	var out bytes.Buffer
	size := uint32(section.Len())
	const raw = fileHeader + sectionHeader
	symbols := raw + size + relocation
	write(&out, uint16(machineAMD64), uint16(1), uint32(0), symbols, uint32(1), uint16(0), uint16(0))
	name := [8]byte{'.', 'r', 's', 'r', 'c'}
	write(&out, name, uint32(0), uint32(0), size, uint32(raw), uint32(raw)+size, uint32(0), uint16(1), uint16(0), uint32(sectionData))
	out.Write(section.Bytes())
	// The one address in it: where the resource is.
	write(&out, uint32(3*directorySize), uint32(0), uint16(relocateImage))
	write(&out, name, uint32(0), uint16(1), uint16(0), uint8(classStatic), uint8(0))
	write(&out, uint32(4)) // a string table without strings
	return out.Bytes()
}

func write(w *bytes.Buffer, fields ...any) {
	for _, f := range fields {
		_ = binary.Write(w, binary.LittleEndian, f) // into memory: it cannot fail
	}
}
