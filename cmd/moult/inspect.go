package main

import (
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"fmt"
	"os"

	"github.com/moult-go/moult/release"
)

// executable is what a file's own header says of it.
type executable struct {
	path     string
	platform release.Platform
	module   string // main module path; "" if it tells none
}

// inspect reads an executable's header, and Go's build information if there is any. Nothing is run.
func inspect(path string) (executable, error) {
	f, err := os.Open(path)
	if err != nil {
		return executable{}, err
	}
	defer f.Close()
	x := executable{path: path}
	if x.platform, err = headerPlatform(f); err != nil {
		return executable{}, fmt.Errorf("%s: %w", path, err)
	}
	info, err := buildinfo.Read(f)
	if err != nil {
		return x, nil // not built by Go, or stripped of it: the caller warns
	}
	x.module = info.Main.Path
	for _, s := range info.Settings {
		// An ELF header tells Linux from nothing in particular; Go knows.
		if s.Key == "GOOS" && x.platform.OS == "linux" {
			x.platform.OS = s.Value
		}
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

func headerPlatform(f *os.File) (release.Platform, error) {
	if x, err := elf.NewFile(f); err == nil {
		if x.Type != elf.ET_EXEC && x.Type != elf.ET_DYN {
			return release.Platform{}, fmt.Errorf("%w: an ELF file of type %s is no executable", errFormat, x.Type)
		}
		return known("ELF", elfSystems[x.OSABI], elfArch(x.FileHeader))
	}
	if x, err := macho.NewFile(f); err == nil {
		if x.Type != macho.TypeExec {
			return release.Platform{}, fmt.Errorf("%w: a Mach-O file of type %s is no executable", errFormat, x.Type)
		}
		return known("Mach-O", "darwin", machoArchs[x.Cpu])
	}
	if x, err := pe.NewFile(f); err == nil {
		if x.Characteristics&pe.IMAGE_FILE_EXECUTABLE_IMAGE == 0 || x.Characteristics&pe.IMAGE_FILE_DLL != 0 {
			return release.Platform{}, fmt.Errorf("%w: a PE file that is no executable", errFormat)
		}
		return known("PE", "windows", peArchs[x.Machine])
	}
	if _, err := macho.NewFatFile(f); err == nil {
		return release.Platform{}, fmt.Errorf("%w: a universal Mach-O file: publish one file for each architecture", errFormat)
	}
	return release.Platform{}, fmt.Errorf("%w: neither ELF nor Mach-O nor PE", errFormat)
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
