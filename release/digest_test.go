package release

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

const helloDigest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of "hello"

func TestDigest(t *testing.T) {
	d, err := ParseDigest(helloDigest)
	if err != nil || d.String() != helloDigest || d.Short() != "2cf24dba5fb0" || d.IsZero() {
		t.Errorf("ParseDigest = %v, %v", d, err)
	}
	for _, in := range []string{"", "2cf2", strings.ToUpper(helloDigest), helloDigest + "00", "zz" + helloDigest[2:]} {
		if _, err := ParseDigest(in); err == nil {
			t.Errorf("ParseDigest(%q) passes", in)
		}
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, n, err := DigestFile(path); err != nil || got != d || n != 5 {
		t.Errorf("DigestFile = %v, %d, %v", got, n, err)
	}
	broken := errors.New("broken")
	if _, _, err := DigestReader(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("DigestReader = %v", err)
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add(strings.Repeat("0", 64))
	f.Add(strings.Repeat("A", 64))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDigest(s); err == nil && d.String() != s {
			t.Errorf("%q reads as %s", s, d)
		}
		var d Digest
		if err := d.UnmarshalText([]byte(s)); err != nil {
			return
		}
		if b, err := d.MarshalText(); err != nil || string(b) != s && !d.IsZero() {
			t.Errorf("%q is written as %q, %v", s, b, err)
		}
	})
}
