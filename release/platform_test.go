package release

import "testing"

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
