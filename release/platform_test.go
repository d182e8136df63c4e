package release

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestParsePlatform(t *testing.T) {
	for _, in := range []string{"linux/amd64", "linux/arm/v7", "windows/386"} {
		p, err := ParsePlatform(in)
		if err != nil || p.String() != in {
			t.Errorf("ParsePlatform(%q) = %q, %v", in, p, err)
		}
	}
	for _, in := range []string{"", "linux", "linux/", "/amd64", "linux/amd64/", "a/b/c/d", "Linux/amd64", "../etc", "linux/amd-64", "linux amd64", "linux/amd64\n"} {
		if p, err := ParsePlatform(in); err == nil {
			t.Errorf("ParsePlatform(%q) = %q, want an error", in, p)
		}
	}
	if got := (Platform{"linux", "arm", "v7"}).FileName(); got != "linux-arm-v7" {
		t.Errorf("FileName = %q", got)
	}
}

// FuzzParsePlatform: what is read is written as it was, is no path, and is found again below the name of its index.
func FuzzParsePlatform(f *testing.F) {
	f.Add("linux/amd64")
	f.Add("linux/arm/v7")
	f.Add("../x/y")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePlatform(s)
		if err != nil {
			return
		}
		if p.String() != s || !filepath.IsLocal(p.FileName()) || strings.ContainsAny(p.FileName(), "/\\") {
			t.Errorf("%q reads as %q, file name %q", s, p, p.FileName())
		}
		for _, q := range append(p.Fallbacks(), p) {
			if again, err := ParsePlatform(q.String()); err != nil || again != q || q.OS != p.OS || q.Arch != p.Arch {
				t.Errorf("%q falls back to %q, %v", s, q, err)
			}
		}
	})
}
