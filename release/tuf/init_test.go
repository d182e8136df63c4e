package tuf

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestInitRefuses(t *testing.T) {
	base := t.TempDir()
	taken := filepath.Join(base, "taken")
	if _, err := Init(taken, InitOptions{App: "hello", PlaintextKeys: true}); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		dir  string
		o    InitOptions
		want error
	}{
		"plain keys together": {"a", InitOptions{App: "hello"}, ErrPlaintextKeys},
		"no app":              {"a", InitOptions{PlaintextKeys: true}, nil},
		"bad channel":         {"a", InitOptions{App: "hello", Channels: []string{"a/b"}, PlaintextKeys: true}, nil},
		"channel twice":       {"a", InitOptions{App: "hello", Channels: []string{"x", "x"}, PlaintextKeys: true}, nil},
		"keys served":         {"a", InitOptions{App: "hello", KeyDir: filepath.Join(base, "a", "keys"), PlaintextKeys: true}, nil},
		"root key served":     {"a", InitOptions{App: "hello", RootKeyDir: filepath.Join(base, "a")}, nil},
		"repository there":    {"taken", InitOptions{App: "hello", KeyDir: filepath.Join(base, "k2"), PlaintextKeys: true}, ErrExists},
		"keys there":          {"b", InitOptions{App: "hello", KeyDir: taken + "-keys", PlaintextKeys: true}, ErrExists},
	} {
		before := treeOf(t, base)
		if _, err := Init(filepath.Join(base, tc.dir), tc.o); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if after := treeOf(t, base); after != before {
			t.Errorf("%s: left traces:\n%s", name, after)
		}
	}
}

func TestKeysOnDisk(t *testing.T) {
	base := t.TempDir()
	dir, keys, offline := filepath.Join(base, "feed"), filepath.Join(base, "k"), filepath.Join(base, "stick")
	if _, err := Init(dir, InitOptions{App: "hello", KeyDir: keys, RootKeyDir: offline}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Join(offline, rootKeyFile), filepath.Join(keys, targetsKeyFile), filepath.Join(keys, onlineKeyFile)} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", p, info.Mode())
		}
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(filepath.Join(keys, onlineKeyFile), 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, OpenOptions{KeyDir: keys}); err == nil {
			t.Error("a key that the group may read is used")
		}
	}
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("PRIVATE")) {
			t.Errorf("%s holds a private key", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestEncryptedKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "feed")
	r, err := Init(dir, InitOptions{App: "hello", Passphrase: []byte("correct horse")})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.KeyDir(), rootKeyFile))
	if err != nil || !bytes.Contains(text, []byte(sealedBlock)) {
		t.Errorf("root key: %s, %v", text, err)
	}
	for _, wrong := range []string{"", "wrong"} {
		if _, err := Open(dir, OpenOptions{Passphrase: []byte(wrong)}); !errors.Is(err, ErrPassphrase) {
			t.Errorf("opened with %q: %v", wrong, err)
		}
	}
	r, err = Open(dir, OpenOptions{Passphrase: []byte("correct horse")})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, text := range []string{
		"", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
		"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
	} {
		if _, err := parseKey([]byte(text), []byte("x")); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrPassphrase) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}
