package main

import (
	"bytes"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The smallest headers that say what a file is for.

func elfFile(class elf.Class, data elf.Data, abi elf.OSABI, kind elf.Type, machine elf.Machine) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	if data == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(class), byte(data), byte(elf.EV_CURRENT), byte(abi)}
	var b bytes.Buffer
	if class == elf.ELFCLASS64 {
		binary.Write(&b, order, elf.Header64{Ident: ident, Type: uint16(kind), Machine: uint16(machine), Version: 1, Ehsize: 64, Phentsize: 56, Shentsize: 64})
	} else {
		binary.Write(&b, order, elf.Header32{Ident: ident, Type: uint16(kind), Machine: uint16(machine), Version: 1, Ehsize: 52, Phentsize: 32, Shentsize: 40})
	}
	return b.Bytes()
}

func machoFile(cpu macho.Cpu, kind macho.Type) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, macho.FileHeader{Magic: macho.Magic64, Cpu: cpu, Type: kind})
	return append(b.Bytes(), 0, 0, 0, 0)
}

func peFile(machine, characteristics uint16) []byte {
	b := make([]byte, 0x80)
	copy(b, "MZ")
	b[0x3c] = 0x80
	buf := bytes.NewBuffer(append(b, "PE\x00\x00"...))
	binary.Write(buf, binary.LittleEndian, pe.FileHeader{Machine: machine, Characteristics: characteristics})
	return append(buf.Bytes(), make([]byte, 96)...)
}

func TestInspect(t *testing.T) {
	const le, be = elf.ELFDATA2LSB, elf.ELFDATA2MSB
	const exec = pe.IMAGE_FILE_EXECUTABLE_IMAGE
	for name, tc := range map[string]struct {
		b    []byte
		want string // "" for refused
	}{
		"linux/amd64":     {elfFile(elf.ELFCLASS64, le, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_X86_64), "linux/amd64"},
		"pie":             {elfFile(elf.ELFCLASS64, le, elf.ELFOSABI_LINUX, elf.ET_DYN, elf.EM_AARCH64), "linux/arm64"},
		"linux/arm":       {elfFile(elf.ELFCLASS32, le, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_ARM), "linux/arm"},
		"linux/386":       {elfFile(elf.ELFCLASS32, le, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_386), "linux/386"},
		"linux/ppc64":     {elfFile(elf.ELFCLASS64, be, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_PPC64), "linux/ppc64"},
		"linux/ppc64le":   {elfFile(elf.ELFCLASS64, le, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_PPC64), "linux/ppc64le"},
		"linux/mips64":    {elfFile(elf.ELFCLASS64, be, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_MIPS), "linux/mips64"},
		"linux/mipsle":    {elfFile(elf.ELFCLASS32, le, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_MIPS), "linux/mipsle"},
		"freebsd/amd64":   {elfFile(elf.ELFCLASS64, le, elf.ELFOSABI_FREEBSD, elf.ET_EXEC, elf.EM_X86_64), "freebsd/amd64"},
		"object file":     {elfFile(elf.ELFCLASS64, le, elf.ELFOSABI_NONE, elf.ET_REL, elf.EM_X86_64), ""},
		"unknown machine": {elfFile(elf.ELFCLASS64, le, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_SPARC), ""},
		"unknown system":  {elfFile(elf.ELFCLASS64, le, elf.ELFOSABI_HPUX, elf.ET_EXEC, elf.EM_X86_64), ""},
		"darwin/arm64":    {machoFile(macho.CpuArm64, macho.TypeExec), "darwin/arm64"},
		"darwin library":  {machoFile(macho.CpuArm64, macho.TypeDylib), ""},
		"windows/amd64":   {peFile(pe.IMAGE_FILE_MACHINE_AMD64, exec), "windows/amd64"},
		"windows library": {peFile(pe.IMAGE_FILE_MACHINE_AMD64, exec|pe.IMAGE_FILE_DLL), ""},
		"script":          {[]byte("#!/bin/sh\nexit 0\n"), ""},
		"archive":         {[]byte("\x1f\x8b\x08\x00"), ""},
		"empty":           {nil, ""},
		"cut header":      {elfFile(elf.ELFCLASS64, le, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_X86_64)[:40], ""},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, tc.b, 0o755); err != nil {
			t.Fatal(err)
		}
		x, err := inspect(path)
		switch {
		case tc.want == "" && !errors.Is(err, errFormat):
			t.Errorf("%s: %v, %v; want it refused", name, x.platform, err)
		case tc.want != "" && (err != nil || x.platform.String() != tc.want):
			t.Errorf("%s: %v, %v", name, x.platform, err)
		}
	}
}

func TestAgree(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, elfFile(elf.ELFCLASS32, elf.ELFDATA2LSB, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_ARM), 0o755); err != nil {
		t.Fatal(err)
	}
	x, err := inspect(path)
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{"": "linux/arm", "linux/arm": "linux/arm", "linux/arm/v7": "linux/arm/v7"} {
		if p, err := x.agree(asked); err != nil || p.String() != want {
			t.Errorf("agree(%q) = %v, %v", asked, p, err)
		}
	}
	for _, asked := range []string{"linux/arm64", "darwin/arm", "linux", "x"} {
		if p, err := x.agree(asked); err == nil {
			t.Errorf("agree(%q) = %v", asked, p)
		}
	}
}
