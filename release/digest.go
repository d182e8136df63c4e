package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
)

// Digest is the SHA-256 of an executable: the identity of a build. Versions may lie or repeat, digests do not.
type Digest [sha256.Size]byte

// ParseDigest reads 64 hexadecimal digits, lower case.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(d) || hex.EncodeToString(b) != s {
		return Digest{}, fmt.Errorf("parse sha256 %.80q: not 64 lower-case hexadecimal digits", s)
	}
	copy(d[:], b)
	return d, nil
}

// DigestReader reads r to its end and returns its digest and length in bytes.
func DigestReader(r io.Reader) (Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return Digest{}, n, err
	}
	return Digest(h.Sum(nil)), n, nil
}

// DigestFile returns the digest and length in bytes of the file at path.
func DigestFile(path string) (Digest, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return Digest{}, 0, err
	}
	defer f.Close()
	d, n, err := DigestReader(f)
	if err != nil {
		return Digest{}, n, fmt.Errorf("hash %s: %w", path, err)
	}
	return d, n, nil
}

// IsZero reports whether d was never set.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short returns the first 12 digits, enough to name a directory.
func (d Digest) Short() string { return d.String()[:12] }

// MarshalText makes a Digest a plain string in JSON; the zero Digest is "".
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	p, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = p
	return nil
}
