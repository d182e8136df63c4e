package assets

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

func platform(t testing.TB, s string) release.Platform {
	t.Helper()
	p, err := release.ParsePlatform(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// goreleaser's own names, in a release of two programs.
var both = strings.Fields(`hello_1.4.0_darwin_all.tar.gz hello_1.4.0_linux_386.tar.gz hello_1.4.0_linux_amd64.tar.gz hello_1.4.0_linux_amd64v3.tar.gz hello_1.4.0_linux_arm64.tar.gz
	hello_1.4.0_linux_armv6.tar.gz hello_1.4.0_linux_armv7.tar.gz hello_1.4.0_linux_mips_softfloat.tar.gz hello_1.4.0_windows_amd64.zip hello_1.4.0_source.tar.gz
	helloctl_1.4.0_linux_amd64.tar.gz helloctl_1.4.0_linux_riscv64.tar.gz checksums.txt checksums.txt.minisig hello_1.4.0_linux_amd64.tar.gz.sbom.json hello_1.4.0_amd64.deb`)

func TestChoose(t *testing.T) {
	rust := strings.Fields(`hello-x86_64-unknown-linux-gnu.tar.gz hello-x86_64-unknown-linux-musl.tar.gz hello-aarch64-apple-darwin.tar.gz hello-x86_64-pc-windows-msvc.zip
		hello-armv7-unknown-linux-gnueabihf.tar.gz`)
	for _, tc := range []struct {
		names          []string
		platform, libc string
		want           string // "" for none
	}{
		{both, "linux/amd64", "gnu", "hello_1.4.0_linux_amd64.tar.gz"},
		{both, "linux/amd64/v3", "gnu", "hello_1.4.0_linux_amd64v3.tar.gz"},
		{both, "linux/amd64/v2", "gnu", "hello_1.4.0_linux_amd64.tar.gz"}, // never upward
		{both, "linux/amd64/v4", "gnu", "hello_1.4.0_linux_amd64v3.tar.gz"},
		{both, "linux/arm/v7", "gnu", "hello_1.4.0_linux_armv7.tar.gz"},
		{both, "linux/arm/v6", "gnu", "hello_1.4.0_linux_armv6.tar.gz"},
		{both, "linux/arm/v5", "gnu", ""},
		{both, "linux/arm64", "musl", "hello_1.4.0_linux_arm64.tar.gz"},
		{both, "linux/386", "", "hello_1.4.0_linux_386.tar.gz"},
		{both, "linux/mips/softfloat", "", "hello_1.4.0_linux_mips_softfloat.tar.gz"},
		{both, "linux/mips", "", "hello_1.4.0_linux_mips_softfloat.tar.gz"},
		{both, "darwin/arm64", "", "hello_1.4.0_darwin_all.tar.gz"},
		{both, "windows/amd64", "", "hello_1.4.0_windows_amd64.zip"},
		{both, "linux/riscv64", "", ""}, // helloctl is another program
		{both, "freebsd/amd64", "", ""},
		{rust, "linux/amd64", "gnu", "hello-x86_64-unknown-linux-gnu.tar.gz"},
		{rust, "linux/amd64", "musl", "hello-x86_64-unknown-linux-musl.tar.gz"},
		{rust, "linux/arm/v7", "gnu", "hello-armv7-unknown-linux-gnueabihf.tar.gz"},
		{rust, "linux/arm/v7", "musl", ""}, // it would not start
		{rust, "darwin/arm64", "", "hello-aarch64-apple-darwin.tar.gz"},
		{rust, "windows/amd64", "", "hello-x86_64-pc-windows-msvc.zip"},
		{[]string{"hello_linux_amd64", "hello_linux_amd64.tar.gz", "hello_linux_amd64.zip"}, "linux/amd64", "", "hello_linux_amd64"},
		{[]string{"hello-win64.exe", "hello-win32.exe"}, "windows/amd64", "", "hello-win64.exe"},
		{[]string{"Hello-macOS-universal.zip"}, "darwin/amd64", "", "Hello-macOS-universal.zip"},
		{[]string{"hello-v1.4.0.linux.x64"}, "linux/amd64", "", "hello-v1.4.0.linux.x64"},
		{[]string{"hello_linux_x86"}, "linux/386", "", "hello_linux_x86"},
		{[]string{"hello_linux_arm_v7"}, "linux/arm/v7", "", "hello_linux_arm_v7"},
		{[]string{"hello_linux_arm"}, "linux/arm/v6", "", "hello_linux_arm"},
		{[]string{"hello_linux_armhf", "hello_linux_armel"}, "linux/arm/v6", "", "hello_linux_armel"},
		{[]string{"server_1.4.0_linux_amd64"}, "linux/amd64", "", "server_1.4.0_linux_amd64"}, // the one program that there is
		{[]string{"hello_linux_amd64.tar.xz", "hello_linux_amd64.deb", "hello_linux_amd64.sha256"}, "linux/amd64", "", ""},
		{[]string{"hello_linux_windows_amd64", "hello_linux_amd64_arm64", "hello_linux", "hello_amd64", ""}, "linux/amd64", "", ""},
	} {
		got, err := Choose(tc.names, Host{Platform: platform(t, tc.platform), Libc: tc.libc, Programs: []string{"hello"}, Version: "1.4.0"})
		if got != tc.want || (tc.want == "") != errors.Is(err, ErrNone) {
			t.Errorf("%s, %q: %q, %v, want %q", tc.platform, tc.libc, got, err, tc.want)
		}
	}
}

func TestChooseDoesNotGuess(t *testing.T) {
	for _, names := range [][]string{
		{"hello_linux_amd64.tar.gz", "hello-linux-x86_64.tar.gz"},
		{"hello_linux_amd64", "hello_linux_amd64.exe"},
		{"server_linux_amd64", "client_linux_amd64"},
	} {
		_, err := Choose(names, Host{Platform: platform(t, "linux/amd64"), Programs: []string{"hello"}})
		var e *AmbiguousError
		if !errors.As(err, &e) || len(e.Names) != 2 || !strings.Contains(err.Error(), names[0]) || !strings.Contains(err.Error(), names[1]) {
			t.Errorf("%v: %v", names, err)
		}
	}
}

func TestInChannel(t *testing.T) {
	for _, tc := range []struct {
		version, channel string
		want             bool
	}{
		{"1.0.0", "stable", true}, {"1.0.0-beta.1", "stable", false}, {"1.0.0", "beta", true}, {"1.0.0-beta.1", "beta", true}, {"1.0.0-beta2", "beta", true},
		{"1.0.0-rc.1", "beta", false}, {"1.0.0-betatest", "beta", false}, {"1.0.0-1", "beta", false},
	} {
		if got := InChannel(release.MustParseVersion(tc.version), tc.channel); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}

func FuzzChoose(f *testing.F) {
	f.Add("hello_1.4.0_linux_amd64.tar.gz", "hello-x86_64-unknown-linux-musl", "1.4.0")
	f.Add("hello_linux_arm_v7", "HELLO_darwin_all.zip", "v1")
	f.Fuzz(func(t *testing.T, a, b, version string) {
		h := Host{Platform: release.Platform{OS: "linux", Arch: "amd64"}, Programs: []string{"hello"}, Version: version}
		got, err := Choose([]string{a, b}, h)
		if err == nil && !slices.Contains([]string{a, b}, got) {
			t.Errorf("%q of %q and %q", got, a, b)
		}
		if p, ok := parse(got, version); err == nil && (!ok || !h.Platform.Runs(p.platform)) {
			t.Errorf("%q for %s", got, p.platform)
		}
	})
}
