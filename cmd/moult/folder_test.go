package main

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPlatformOfName(t *testing.T) {
	for name, want := range map[string]string{
		"hello_1.4.0_linux_amd64":          "linux/amd64",
		"hello_1.4.0_linux_amd64v3":        "linux/amd64/v3",
		"hello-1.4.0-linux-armv7":          "linux/arm/v7",
		"hello_Linux_armhf":                "linux/arm/v7",
		"hello_linux_armv6":                "linux/arm/v6",
		"hello-x86_64-unknown-linux-musl":  "linux/amd64",
		"hello-aarch64-unknown-linux-gnu":  "linux/arm64",
		"hello-x86_64-apple-darwin":        "darwin/amd64",
		"hello-x86_64-pc-windows-msvc.exe": "windows/amd64",
		"hello_Darwin_x86-64":              "darwin/amd64",
		"hello-macos-arm64":                "darwin/arm64",
		"linux/arm64/hello":                "linux/arm64",
		"hello.win64.x64.exe":              "windows/amd64",
		"hello-linux-i686":                 "linux/386",
		"hello-freebsd-riscv64":            "freebsd/riscv64",
		"hello":                            "",
		"hello-linux":                      "",
		"hello-amd64":                      "",
		"hello-linux-darwin-amd64":         "",
		"hello-linux-amd64-arm64":          "",
		"apple-pie-linux-arm64":            "",
		"hello-linux-sparc":                "",
		"hello-darwin-all":                 "",
		"lin/ux/amd64":                     "",
	} {
		p := platformOfName(name)
		got := p.String()
		if p.OS == "" {
			got = ""
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestProgramOfName(t *testing.T) {
	for name, want := range map[string]string{
		"hello": "hello", "hello.exe": "hello", "hello-ctl": "hello-ctl", "hello-ctl_1.4.0_linux_arm64.exe": "hello-ctl", "hello_v2_linux": "hello",
		"hello-x86_64-apple-darwin": "hello", "x86_64": "x86_64", "linux-tool_linux_amd64": "linux-tool", "my.app-linux": "my.app",
	} {
		if got := programOfName(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestFolder(t *testing.T) {
	amd64 := elfFile(elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_X86_64)
	arm := elfFile(elf.ELFCLASS32, elf.ELFDATA2LSB, elf.ELFOSABI_NONE, elf.ET_EXEC, elf.EM_ARM)
	mac := machoFile(macho.CpuArm64, macho.TypeExec)
	windows := peFile(pe.IMAGE_FILE_MACHINE_AMD64, pe.IMAGE_FILE_EXECUTABLE_IMAGE)
	for name, tc := range map[string]struct {
		files map[string][]byte
		want  string
		err   error
	}{
		"by headers": {map[string][]byte{"a/hello": amd64, "b/hello": arm, "hello.exe": windows, "c/d/hello": mac, "README": []byte("read"), "run.sh": []byte("#!/bin/sh\n")},
			"darwin/arm64 linux/amd64 linux/arm windows/amd64", nil},
		"variants by names":   {map[string][]byte{"hello-linux-armv6": arm, "hello-linux-armv7": arm}, "linux/arm/v6 linux/arm/v7", nil},
		"other programs":      {map[string][]byte{"hello-linux-amd64": amd64, "hello-ctl-linux-amd64": amd64, "libhello.so": amd64, "hello-linux-amd64.deb": amd64}, "linux/amd64", nil},
		"C libraries":         {map[string][]byte{"hello-linux-amd64-musl": amd64, "hello-linux-amd64-gnu": amd64, "hello-linux-amd64-static": amd64}, "linux/amd64", nil},
		"two of one kind":     {map[string][]byte{"a/hello": amd64, "b/hello": amd64}, "", errAmbiguous},
		"two C libraries":     {map[string][]byte{"hello-linux-amd64-musl": amd64, "hello-linux-amd64-gnu": amd64}, "", errAmbiguous},
		"two programs":        {map[string][]byte{"one": amd64, "two": amd64}, "", errAmbiguous},
		"one of another name": {map[string][]byte{"server": amd64}, "linux/amd64", nil},
		"none":                {map[string][]byte{"README": []byte("read")}, "", nil},
	} {
		dir := t.TempDir()
		for path, content := range tc.files {
			path = filepath.Join(dir, path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		if tc.want == "" {
			if b, err := gather([]string{dir}, wanted{app: "hello"}); err == nil || tc.err != nil && !errors.Is(err, tc.err) {
				t.Errorf("%s: %v, %+v", name, err, b)
			}
			continue
		}
		if list, _ := platforms(t, wanted{app: "hello"}, dir); strings.Join(list, " ") != tc.want {
			t.Errorf("%s: %v, want %s", name, list, tc.want)
		}
	}
}
