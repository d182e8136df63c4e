package file

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/moult-go/moult/release"
	"github.com/moult-go/moult/release/archive"
	"github.com/moult-go/moult/updater"
)

var linux = release.Platform{OS: "linux", Arch: "amd64"}

// stick is a directory with a file and its signature.
func stick(t *testing.T, name string, content []byte, app string, p release.Platform) (file, key string) {
	t.Helper()
	public, private, err := release.GenerateMinisign("")
	if err != nil {
		t.Fatal(err)
	}
	sig, err := release.SignMinisign(private, "", bytes.NewReader(content), release.TrustedComment{App: app, Version: release.MustParseVersion("1.4.0"), Platform: p})
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), name)
	if err := errors.Join(os.WriteFile(file, content, 0o600), os.WriteFile(file+".minisig", sig, 0o600)); err != nil {
		t.Fatal(err)
	}
	return file, public
}

func TestOffersAndFetches(t *testing.T) {
	q := updater.Query{App: "hello", Platform: linux, Channel: "stable"}
	content := []byte("the file")
	for name, format := range map[string]release.Format{"hello-new": release.Raw, "whatever.tar.gz": archive.TarGzip, "hello_1.4.0_linux_amd64.zip": archive.Zip} {
		file, key := stick(t, name, content, "hello", linux)
		src := New("/elsewhere", Options{MinisignKey: key}).(updater.FileSource).File(file)
		offered, err := src.Check(t.Context(), q)
		if err != nil || len(offered) != 1 {
			t.Fatalf("%s: %v, %v", name, offered, err)
		}
		c := offered[0]
		if c.Version.String() != "1.4.0" || c.Full.Format != format || c.Full.Length != 8 || c.Minisign == nil || (c.Member == "hello") != (format != release.Raw) || c.Digest.IsZero() != (format != release.Raw) {
			t.Errorf("%s: %+v", name, c)
		}
		var got bytes.Buffer
		if err := src.Fetch(t.Context(), q, c.Full, &got); err != nil || got.String() != string(content) {
			t.Errorf("%s: %q, %v", name, got.String(), err)
		}
	}
}

func TestDistrusts(t *testing.T) {
	q := updater.Query{App: "hello", Platform: linux, Channel: "stable"}
	good, key := stick(t, "hello", []byte("x"), "hello", linux)
	arm, armKey := stick(t, "hello", []byte("x"), "hello", release.Platform{OS: "linux", Arch: "arm64"})
	other, otherKey := stick(t, "hello", []byte("x"), "other", linux)
	bare, bareKey := stick(t, "hello", []byte("x"), "hello", linux)
	if err := os.Remove(bare + ".minisig"); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		file, key string
		class     updater.Class
		reason    string
	}{
		"another key":      {good, armKey, updater.Verification, "bad-signature"},
		"another platform": {arm, armKey, updater.Policy, "wrong-platform"},
		"another program":  {other, otherKey, updater.Verification, "wrong-app"},
		"not signed":       {bare, bareKey, updater.Verification, "unsigned"},
		"no directory":     {"/nowhere/hello", key, updater.Temporary, "not-found"},
		"no trust":         {good, "", updater.Usage, "bad-options"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(tc.file, Options{MinisignKey: tc.key}).Check(t.Context(), q)
			var e *updater.Error
			if !errors.As(err, &e) || e.Class != tc.class || e.Reason != tc.reason {
				t.Errorf("%v, want %s, %s", err, tc.class, tc.reason)
			}
		})
	}
	if err := os.Remove(good); err != nil {
		t.Fatal(err)
	}
	if _, err := New(good, Options{MinisignKey: key}).Check(t.Context(), q); err == nil {
		t.Error("a signature without a file is offered")
	}
}

func ExampleNew() {
	const publicKey = "RWQ…"
	fmt.Println(New("/media/usb/hello_1.4.0_linux_amd64.tar.gz", Options{MinisignKey: publicKey}))
	// Output: file /media/usb/hello_1.4.0_linux_amd64.tar.gz
}
