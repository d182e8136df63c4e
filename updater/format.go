package updater

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/moult-go/moult/grace/role"
	"github.com/moult-go/moult/release"
)

// facts is what an executable file says of itself without being run.
type facts struct {
	format   string // "ELF", "Mach-O" or "PE"
	arch     string // of the header, in Go's words; "" if unknown to us
	module   string
	platform release.Platform // of the build information
	answers  bool             // links package role, so that it answers the proof
}

// inspect reads the file at path. The standard library's readers are not made for hostile input: the file is
// verified by now, and a panic of theirs becomes an error all the same.
func inspect(path string) (f facts, err error) {
	file, err := os.Open(path)
	if err != nil {
		return f, fail(Failed, "io", "inspect: %w", err)
	}
	defer file.Close()
	defer func() {
		if p := recover(); p != nil {
			err = fail(Verification, "wrong-format", "inspect %s: %v", path, p)
		}
	}()
	if f.format, f.arch, err = readHeader(file); err != nil {
		return f, err
	}
	bi, err := buildinfo.Read(file)
	if err != nil {
		return f, fail(Verification, "wrong-format", "read the build information of %s: %w", path, err)
	}
	f.module = bi.Main.Path
	for _, s := range bi.Settings {
		switch s.Key {
		case "GOOS":
			f.platform.OS = s.Value
		case "GOARCH":
			f.platform.Arch = s.Value
		}
	}
	f.answers, err = contains(file, []byte(role.Sentinel))
	return f, err
}

func readHeader(r io.ReaderAt) (format, arch string, err error) {
	var magic [4]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil {
		return "", "", fail(Verification, "not-executable", "read its header: %w", err)
	}
	var ok bool
	switch {
	case string(magic[:]) == elf.ELFMAG:
		format, arch, ok, err = elfHeader(r)
	case isMachO(magic):
		format, arch, ok, err = machoHeader(r)
	case magic[0] == 'M' && magic[1] == 'Z':
		format, arch, ok, err = peHeader(r)
	default:
		return "", "", fail(Verification, "not-executable", "it begins with %q: no executable", magic[:])
	}
	if err != nil {
		return format, "", fail(Verification, "wrong-format", "read its %s header: %w", format, err)
	}
	if !ok {
		return format, arch, fail(Verification, "not-executable", "its %s header is not that of a program", format)
	}
	return format, arch, nil
}

func elfHeader(r io.ReaderAt) (format, arch string, ok bool, err error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return "ELF", "", false, err
	}
	arch = map[elf.Machine]string{
		elf.EM_X86_64: "amd64", elf.EM_386: "386", elf.EM_AARCH64: "arm64", elf.EM_ARM: "arm", elf.EM_RISCV: "riscv64",
		elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64",
	}[f.Machine]
	if f.Machine == elf.EM_PPC64 {
		arch = "ppc64"
		if f.ByteOrder == binary.LittleEndian {
			arch = "ppc64le"
		}
	}
	return "ELF", arch, f.Type == elf.ET_EXEC || f.Type == elf.ET_DYN, nil
}

func isMachO(magic [4]byte) bool {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(magic[:]) {
		case macho.Magic32, macho.Magic64:
			return true
		}
	}
	return false
}

func machoHeader(r io.ReaderAt) (format, arch string, ok bool, err error) {
	f, err := macho.NewFile(r)
	if err != nil {
		return "Mach-O", "", false, err
	}
	arch = map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu]
	return "Mach-O", arch, f.Type == macho.TypeExec, nil
}

func peHeader(r io.ReaderAt) (format, arch string, ok bool, err error) {
	f, err := pe.NewFile(r)
	if err != nil {
		return "PE", "", false, err
	}
	arch = map[uint16]string{
		pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_I386: "386", pe.IMAGE_FILE_MACHINE_ARM64: "arm64",
	}[f.Machine]
	return "PE", arch, f.Characteristics&pe.IMAGE_FILE_EXECUTABLE_IMAGE != 0 && f.Characteristics&pe.IMAGE_FILE_DLL == 0, nil
}

// contains looks for needle in the whole file without holding more than a block of it.
func contains(r io.ReaderAt, needle []byte) (bool, error) {
	block := make([]byte, 256<<10)
	for off := int64(0); ; off += int64(len(block) - len(needle) + 1) {
		n, err := r.ReadAt(block, off)
		if bytes.Contains(block[:n], needle) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("inspect: %w", err)
		}
	}
}
