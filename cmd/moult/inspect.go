package main

import (
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"fmt"
	"os"
	"strings"

	"github.com/moult-go/moult/release"
)

// executable is what a file says of itself without being run.
type executable struct {
	path     string
	platform release.Platform     // of its header, with the variant of its build information
	built    release.Platform     // of its build information; words that are missing there are ""
	module   string               // main module path; "" if it tells none
	info     *buildinfo.BuildInfo // nil if it was not built by Go, or stripped of it
	debug    debugInfo
}

// debugInfo is what debuggers read, and nothing else.
type debugInfo struct {
	size       int64 // bytes in the file
	compressed bool
}

// inspect reads an executable's header, and Go's build information if there is any. Nothing is run. The standard library's readers
// are not made for hostile input: a panic of theirs becomes an error.
func inspect(path string) (x executable, err error) {
	f, err := os.Open(path)
	if err != nil {
		return executable{}, err
	}
	defer f.Close()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w: %v", path, errFormat, p)
		}
	}()
	x = executable{path: path}
	if x.platform, x.debug, err = readHeader(f); err != nil {
		return executable{}, fmt.Errorf("%s: %w", path, err)
	}
	if x.info, err = buildinfo.Read(f); err != nil {
		return x, nil // not built by Go, or stripped of it: the caller warns
	}
	x.module = x.info.Main.Path
	x.built = release.BuildPlatform(x.info)
	if x.platform.OS == "linux" && x.built.OS != "" {
		x.platform.OS = x.built.OS // an ELF header tells Linux from nothing in particular; Go knows
	}
	if x.built.Arch == x.platform.Arch {
		x.platform.Variant = x.built.Variant
	}
	return x, nil
}

// agree returns the platform to publish for: the one asked for, if the header agrees with it, or the header's.
func (x executable) agree(asked string) (release.Platform, error) {
	if asked == "" {
		return x.platform, nil
	}
	p, err := release.ParsePlatform(asked)
	if err != nil {
		return p, &usageError{err}
	}
	if p.OS != x.platform.OS || p.Arch != x.platform.Arch {
		return p, fmt.Errorf("%s: %w: it is for %s, not for %s", x.path, errFormat, x.platform, p)
	}
	return p, nil
}

var (
	elfSystems = map[elf.OSABI]string{
		elf.ELFOSABI_NONE: "linux", elf.ELFOSABI_LINUX: "linux", elf.ELFOSABI_FREEBSD: "freebsd", elf.ELFOSABI_NETBSD: "netbsd",
		elf.ELFOSABI_OPENBSD: "openbsd", elf.ELFOSABI_SOLARIS: "solaris",
	}
	elfArchs = map[elf.Machine]string{
		elf.EM_X86_64: "amd64", elf.EM_386: "386", elf.EM_AARCH64: "arm64", elf.EM_ARM: "arm", elf.EM_RISCV: "riscv64",
		elf.EM_S390: "s390x", elf.EM_LOONGARCH: "loong64", elf.EM_PPC64: "ppc64", elf.EM_MIPS: "mips",
	}
	machoArchs = map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}
	peArchs    = map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64", pe.IMAGE_FILE_MACHINE_I386: "386", pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}
)

func readHeader(f *os.File) (p release.Platform, d debugInfo, err error) {
	if x, err := elf.NewFile(f); err == nil {
		if x.Type != elf.ET_EXEC && x.Type != elf.ET_DYN {
			return p, d, fmt.Errorf("%w: an ELF file of type %s is no executable", errFormat, x.Type)
		}
		for _, s := range x.Sections {
			d.add(s.Name, int64(s.FileSize), s.Flags&elf.SHF_COMPRESSED != 0)
		}
		p, err = known("ELF", elfSystems[x.OSABI], elfArch(x.FileHeader))
		return p, d, err
	}
	if x, err := macho.NewFile(f); err == nil {
		if x.Type != macho.TypeExec {
			return p, d, fmt.Errorf("%w: a Mach-O file of type %s is no executable", errFormat, x.Type)
		}
		for _, s := range x.Sections {
			d.add(s.Name, int64(s.Size), false)
		}
		p, err = known("Mach-O", "darwin", machoArchs[x.Cpu])
		return p, d, err
	}
	if x, err := pe.NewFile(f); err == nil {
		if x.Characteristics&pe.IMAGE_FILE_EXECUTABLE_IMAGE == 0 || x.Characteristics&pe.IMAGE_FILE_DLL != 0 {
			return p, d, fmt.Errorf("%w: a PE file that is no executable", errFormat)
		}
		for _, s := range x.Sections {
			d.add(s.Name, int64(s.Size), false)
		}
		p, err = known("PE", "windows", peArchs[x.Machine])
		return p, d, err
	}
	return p, d, notExecutable(f)
}

// notExecutable says what a file is instead.
func notExecutable(f *os.File) error {
	if _, err := macho.NewFatFile(f); err == nil {
		return fmt.Errorf("%w: a universal Mach-O file: publish one file for each architecture", errFormat)
	}
	var head [2]byte
	switch n, _ := f.ReadAt(head[:], 0); { // what is shorter is neither
	case n == 0:
		return fmt.Errorf("%w: it is empty", errFormat)
	case string(head[:]) == "#!":
		return fmt.Errorf("%w: it is a script", errFormat)
	}
	return fmt.Errorf("%w: neither ELF nor Mach-O nor PE", errFormat)
}

// add counts a section that debuggers read. Compressed ones have a flag in ELF files, and a "z" in their name elsewhere.
func (d *debugInfo) add(name string, size int64, compressed bool) {
	switch {
	case strings.HasPrefix(name, ".zdebug_"), strings.HasPrefix(name, "__zdebug_"):
		compressed = true
	case !strings.HasPrefix(name, ".debug_") && !strings.HasPrefix(name, "__debug_"):
		return
	}
	d.size += size
	d.compressed = d.compressed || compressed
}

func elfArch(h elf.FileHeader) string {
	arch := elfArchs[h.Machine]
	if arch == "mips" && h.Class == elf.ELFCLASS64 {
		arch = "mips64"
	}
	if h.Data == elf.ELFDATA2LSB && (h.Machine == elf.EM_MIPS || h.Machine == elf.EM_PPC64) {
		arch += "le"
	}
	return arch
}

func known(format, os, arch string) (release.Platform, error) {
	if os == "" || arch == "" {
		return release.Platform{}, fmt.Errorf("%w: a %s file for a system or processor that is not known here", errFormat, format)
	}
	return release.Platform{OS: os, Arch: arch}, nil
}
