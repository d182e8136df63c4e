package assets

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/moult-go/moult/release"
)

// MaxChecksums is the largest file of checksums, in bytes, that is read.
const MaxChecksums = 1 << 20

// Checksums is what a file of checksums says: the sha256 of each file by its name.
type Checksums map[string]release.Digest

var checksumsName = regexp.MustCompile(`(?i)(^|[-_.])(checksums?(\.txt|\.sha256)?|sha256sums?(\.txt)?)$`)

// IsChecksums reports whether a file of this name holds checksums: "checksums.txt", "hello_1.4.0_checksums.txt", "SHA256SUMS".
func IsChecksums(name string) bool { return checksumsName.MatchString(name) }

// ParseChecksums reads lines as sha256sum and goreleaser write them: 64 hexadecimal digits, two spaces (or a space and an asterisk), a
// name. A name that is there twice, or leads into a directory, is an error, and so is any other line.
func ParseChecksums(b []byte) (Checksums, error) {
	if len(b) > MaxChecksums {
		return nil, fmt.Errorf("parse checksums: %d bytes, more than %d", len(b), MaxChecksums)
	}
	sums := Checksums{}
	for line := range bytes.Lines(b) {
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			continue
		}
		hex, name, ok := strings.Cut(text, " ")
		if ok = ok && len(name) > 1 && (name[0] == ' ' || name[0] == '*'); !ok {
			return nil, fmt.Errorf("parse checksums: %.100q is not of the form SHA256, two spaces, NAME", text)
		}
		name = name[1:]
		d, err := release.ParseDigest(strings.ToLower(hex))
		if err != nil {
			return nil, fmt.Errorf("parse checksums: %w", err)
		}
		if _, twice := sums[name]; twice || strings.ContainsAny(name, "/\\\x00") || len(name) > maxName {
			return nil, fmt.Errorf("parse checksums: name %.100q is there twice, too long, or leads elsewhere", name)
		}
		sums[name] = d
	}
	if len(sums) == 0 {
		return nil, fmt.Errorf("parse checksums: no line")
	}
	return sums, nil
}

// parseSplit reads NAME.sha256: goreleaser writes the digits alone, sha256sum a line.
func parseSplit(b []byte, name string) (release.Digest, error) {
	if d, err := release.ParseDigest(strings.ToLower(strings.TrimSpace(string(b[:min(len(b), 128)])))); err == nil {
		return d, nil
	}
	sums, err := ParseChecksums(b)
	if err != nil {
		return release.Digest{}, err
	}
	d, ok := sums[name]
	if !ok || len(sums) != 1 {
		return release.Digest{}, fmt.Errorf("parse checksums: not one line for %s", name)
	}
	return d, nil
}
