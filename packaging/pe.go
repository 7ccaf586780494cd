package main

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// hardened are the protections that Windows switches on for an image only if
// its header asks. Control Flow Guard is not among them: neither Go nor GCC 12
// makes code for it.
var hardened = []struct {
	bit  uint16
	name string
}{
	{pe.IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA, "HIGH_ENTROPY_VA (64 bits of address space)"},
	{pe.IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, "DYNAMIC_BASE (ASLR)"},
	{pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT, "NX_COMPAT (DEP)"},
}

// comExports are what COM and regsvr32 call. Beside them there are cgo's exports
// of our functions, which nobody calls from outside.
var comExports = []string{"DllCanUnloadNow", "DllGetClassObject", "DllRegisterServer", "DllUnregisterServer"}

var cgoExport = regexp.MustCompile(`^(go[A-Z]|_cgo_)`)

// knownDLLs are imported. Windows maps them from its own folder whatever else
// lies beside a program, so none of them can be planted.
var knownDLLs = []string{"advapi32.dll", "kernel32.dll", "msvcrt.dll", "ole32.dll"}

const (
	sectionExecute = 0x20000000 // IMAGE_SCN_MEM_EXECUTE
	sectionWrite   = 0x80000000 // IMAGE_SCN_MEM_WRITE
	relocsStripped = 0x0001     // IMAGE_FILE_RELOCS_STRIPPED
)

// checkImage says all that is wrong with an executable for Windows.
func checkImage(image []byte, dll bool) error {
	f, err := pe.NewFile(bytes.NewReader(image))
	if err != nil {
		return err
	}
	defer f.Close()
	header, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if !ok || f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
		return errors.New("it is no image for amd64")
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, h := range hardened {
		if header.DllCharacteristics&h.bit == 0 {
			bad("it lacks %s", h.name)
		}
	}
	if f.Characteristics&relocsStripped != 0 || header.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_BASERELOC].Size == 0 {
		bad("it cannot be moved: it has no relocations")
	}
	if f.TimeDateStamp != 0 {
		bad("its header has the time %d, so that no other build is equal", f.TimeDateStamp)
	}
	if got := f.Characteristics&pe.IMAGE_FILE_DLL != 0; got != dll {
		bad("it is a DLL: %v, want %v", got, dll)
	}
	for _, s := range f.Sections {
		if s.Characteristics&sectionExecute != 0 && s.Characteristics&sectionWrite != 0 {
			bad("section %s can be written and run", s.Name)
		}
	}
	if sum := header.CheckSum; sum != imageChecksum(image) {
		bad("its checksum is %#x, not %#x", sum, imageChecksum(image))
	}
	imports, err := importedDLLs(f)
	if err != nil {
		bad("%w", err)
	}
	for _, name := range imports {
		if !slices.Contains(knownDLLs, strings.ToLower(name)) {
			bad("it imports %s", name)
		}
	}
	exports, err := exportedNames(f, header)
	if err != nil {
		bad("%w", err)
	}
	exports = slices.DeleteFunc(exports, func(name string) bool { return dll && cgoExport.MatchString(name) })
	var want []string
	if dll {
		want = comExports
	}
	if !slices.Equal(exports, want) {
		bad("it exports %v, not %v", exports, want)
	}
	return errors.Join(errs...)
}

// importedDLLs are the DLLs that an image is loaded with.
// pe.File.ImportedLibraries says none, by its documentation, so they are taken
// from the symbols, "name:dll".
func importedDLLs(f *pe.File) ([]string, error) {
	symbols, err := f.ImportedSymbols()
	if err != nil {
		return nil, fmt.Errorf("its imports: %w", err)
	}
	var names []string
	for _, s := range symbols {
		_, dll, _ := strings.Cut(s, ":")
		names = append(names, dll)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// exportDirectory is IMAGE_EXPORT_DIRECTORY.
//
// https://learn.microsoft.com/windows/win32/debug/pe-format#export-directory-table
type exportDirectory struct {
	Flags, TimeDateStamp   uint32
	Major, Minor           uint16
	Name, Base             uint32
	Functions, Names       uint32
	FunctionTable          uint32
	NameTable, NameOrdinal uint32
}

// maxExports is far above what any DLL of ours has.
const maxExports = 1000

// exportedNames are the names that an image exports, sorted.
func exportedNames(f *pe.File, header *pe.OptionalHeader64) ([]string, error) {
	place := header.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_EXPORT]
	if place.Size == 0 {
		return nil, nil
	}
	var d exportDirectory
	if err := binary.Read(bytes.NewReader(at(f, place.VirtualAddress)), binary.LittleEndian, &d); err != nil {
		return nil, fmt.Errorf("its export directory: %w", err)
	}
	if d.TimeDateStamp != 0 {
		return nil, fmt.Errorf("its export directory has the time %d, so that no other build is equal", d.TimeDateStamp)
	}
	if d.Names > maxExports {
		return nil, fmt.Errorf("it exports %d names", d.Names)
	}
	table := at(f, d.NameTable)
	if len(table) < 4*int(d.Names) {
		return nil, errors.New("its export directory ends early")
	}
	var names []string
	for i := range int(d.Names) {
		name, _, ok := bytes.Cut(at(f, binary.LittleEndian.Uint32(table[4*i:])), []byte{0})
		if !ok {
			return nil, errors.New("the name of an export has no end")
		}
		names = append(names, string(name))
	}
	slices.Sort(names)
	return names, nil
}

// at is what a section has from an address on; nil for an address in none.
func at(f *pe.File, address uint32) []byte {
	for _, s := range f.Sections {
		if address < s.VirtualAddress || address-s.VirtualAddress >= s.Size {
			continue
		}
		data, err := s.Data()
		if err != nil || int(address-s.VirtualAddress) > len(data) {
			return nil
		}
		return data[address-s.VirtualAddress:]
	}
	return nil
}

// checksumOffset is where an image has its checksum; 0 if it is no image.
func checksumOffset(image []byte) int {
	if len(image) < 0x40 {
		return 0
	}
	header := int(binary.LittleEndian.Uint32(image[0x3c:]))
	const inOptional = 4 + 20 + 64 // behind the signature and the file header
	if header <= 0 || header > len(image)-inOptional-4 {
		return 0
	}
	return header + inOptional
}

// imageChecksum is CheckSumMappedFile's: the sum of all words with the carries
// folded in, the checksum itself left out, and the file's length.
func imageChecksum(image []byte) uint32 {
	skip := checksumOffset(image)
	var sum uint64
	for i := 0; i < len(image); i += 2 {
		if i == skip || i == skip+2 {
			continue
		}
		word := uint64(image[i])
		if i+1 < len(image) {
			word |= uint64(image[i+1]) << 8
		}
		sum += word
		sum = sum&0xffff + sum>>16
	}
	sum = sum&0xffff + sum>>16
	return uint32(sum) + uint32(len(image))
}

// setChecksum writes the checksum that an image should have. Go's linker writes
// none, and ld's is of an earlier state. A signing tool writes it anew, so only
// with the right one does a file whose signature is taken off equal what was signed.
func setChecksum(image []byte) error {
	offset := checksumOffset(image)
	if offset == 0 {
		return errors.New("it is no image")
	}
	binary.LittleEndian.PutUint32(image[offset:], imageChecksum(image))
	return nil
}
