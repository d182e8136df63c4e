package main

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/moult-go/moult/release"
)

// What file names say of platforms, in the words that projects use. Names never decide alone: an executable's header does, and where a name
// says otherwise nothing is published.

var nameSystems = map[string]string{
	"linux":  "linux",
	"darwin": "darwin", "macos": "darwin", "mac": "darwin", "osx": "darwin", "apple": "darwin",
	"windows": "windows", "win": "windows", "win32": "windows", "win64": "windows", "pc": "windows",
	"freebsd": "freebsd", "openbsd": "openbsd", "netbsd": "netbsd", "illumos": "illumos",
}

var nameArchs = map[string]string{
	"amd64": "amd64", "x64": "amd64", "amd64v1": "amd64", "amd64v2": "amd64/v2", "amd64v3": "amd64/v3", "amd64v4": "amd64/v4",
	"386": "386", "i386": "386", "i686": "386", "x86": "386", "ia32": "386",
	"arm64": "arm64", "aarch64": "arm64",
	"arm": "arm", "armv7": "arm/v7", "armhf": "arm/v7", "armv7l": "arm/v7", "armv6": "arm/v6", "armv6l": "arm/v6", "armel": "arm/v5", "armv5": "arm/v5",
	"riscv64": "riscv64", "ppc64": "ppc64", "ppc64le": "ppc64le", "s390x": "s390x", "loong64": "loong64",
	"mips": "mips", "mipsle": "mipsle", "mips64": "mips64", "mips64le": "mips64le",
}

var (
	nameSplit   = regexp.MustCompile(`[-_.+/]`)
	nameX86     = regexp.MustCompile(`(?i)x86[-_]64`)
	nameVersion = regexp.MustCompile(`^v?[0-9]+$`)
	// nameIgnored are files that lie beside programs, some of which have the header of one.
	nameIgnored = regexp.MustCompile(`(?i)\.(sha256|sha512|sig|asc|minisig|pem|crt|json|txt|deb|rpm|apk|msi|dmg|pkg|appimage|so|dll|dylib|a|o|src)$|\.so\.|\.sbom|(^|[-_.])(source|src)([-_.]|$)`)
)

func nameTokens(path string) []string {
	path = strings.TrimSuffix(filepath.ToSlash(path), ".exe")
	return nameSplit.Split(strings.ToLower(nameX86.ReplaceAllString(path, "amd64")), -1)
}

// platformOfName is the platform in a file name, or the zero Platform unless the name has exactly one system and one architecture.
func platformOfName(path string) release.Platform {
	systems, archs := map[string]bool{}, map[string]bool{}
	for _, token := range nameTokens(path) {
		if s := nameSystems[token]; s != "" {
			systems[s] = true
		}
		if a := nameArchs[token]; a != "" {
			archs[a] = true
		}
	}
	if len(systems) != 1 || len(archs) != 1 {
		return release.Platform{}
	}
	var p release.Platform
	for s := range systems {
		p.OS = s
	}
	for a := range archs {
		p.Arch, p.Variant, _ = strings.Cut(a, "/")
	}
	return p
}

// programOfName is what stands before system, architecture and version in a file name: "hello-ctl" of "hello-ctl_1.4.0_linux_arm64.exe".
func programOfName(base string) string {
	base = strings.TrimSuffix(base, ".exe")
	plain := nameX86.ReplaceAllString(base, "amd64")
	end := 0
	for i, token := range nameSplit.Split(plain, -1) {
		word := strings.ToLower(token)
		if i > 0 && (nameSystems[word] != "" || nameArchs[word] != "" || nameVersion.MatchString(word)) {
			return plain[:end]
		}
		if i > 0 {
			end++ // the separator
		}
		end += len(token)
	}
	return base
}

// libcOfName ranks programs that differ in nothing but their C library: one without any runs everywhere.
func libcOfName(path string) int {
	rank := 1
	for _, token := range nameTokens(path) {
		switch token {
		case "static":
			return 0
		case "musl", "gnu", "glibc":
			rank = 2
		}
	}
	return rank
}
