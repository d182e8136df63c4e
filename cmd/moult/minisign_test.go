package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moult-go/moult/release"
)

// TestSignReleases: the files that goreleaser made, signed each and by their checksums, and what is not signed.
func TestSignReleases(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../testdata/dist/hello")); err != nil {
		t.Fatal(err)
	}
	public, private, err := release.GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	key, pub := filepath.Join(dir, "key"), filepath.Join(dir, "pub")
	for name, text := range map[string]string{key: private, pub: public} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sign := func(name string, more ...string) (string, error) {
		return cli(t, append([]string{"minisign", "sign", filepath.Join(dir, name), "--app", "hello", "--version", "1.4.0", "--key", key}, more...)...)
	}
	verify := func(name string) (string, error) {
		return cli(t, "minisign", "verify", filepath.Join(dir, name), "--key", pub)
	}
	for name, want := range map[string]string{
		"checksums.txt": "hello 1.4.0, checksums of 10 files", "hello_1.4.0_linux_armv7.tar.gz": "hello 1.4.0 for linux/arm", "hello_1.4.0_windows_amd64.zip": "hello 1.4.0 for windows/amd64",
	} {
		if out, err := sign(name); err != nil {
			t.Fatal(name, out, err)
		}
		if out, err := verify(name); err != nil || !strings.HasPrefix(out, want) {
			t.Errorf("%s: %q, %v, want %q", name, out, err, want)
		}
	}
	for what, more := range map[string][]string{"checksums.txt": {"--platform", "linux/amd64"}, "hello_1.4.0_linux_amd64.tar.gz": {"--program", "other"}, "hello_1.4.0_linux_arm64.tar.gz": {"--platform", "linux/amd64"}} {
		if out, err := sign(what, more...); err == nil {
			t.Errorf("%s %v is signed: %s", what, more, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "hello_1.4.0_linux_amd64.tar.gz"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sign("checksums.txt"); err == nil {
		t.Error("checksums are signed that a file beside them contradicts")
	}
	if _, err := verify("checksums.txt"); err == nil {
		t.Error("checksums verify that a file beside them contradicts")
	}
}

// cli runs one command line and returns its result, or its error.
func cli(t *testing.T, args ...string) (string, error) {
	t.Helper()
	code, stdout, stderr := moult(t, args...)
	if code != 0 {
		return stdout, errors.New(stderr)
	}
	return stdout, nil
}
