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
	if _, err := Init(t.Context(), taken, InitOptions{App: "hello", PlaintextKeys: true}); err != nil {
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
		"root key served":     {"a", InitOptions{App: "hello", RootKeyDirs: []string{filepath.Join(base, "a")}}, nil},
		"repository there":    {"taken", InitOptions{App: "hello", KeyDir: filepath.Join(base, "k2"), PlaintextKeys: true}, ErrExists},
		"keys there":          {"b", InitOptions{App: "hello", KeyDir: taken + "-keys", PlaintextKeys: true}, ErrExists},
	} {
		before := treeOf(t, base)
		if _, err := Init(t.Context(), filepath.Join(base, tc.dir), tc.o); err == nil || tc.want != nil && !errors.Is(err, tc.want) {
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
	if _, err := Init(t.Context(), dir, InitOptions{App: "hello", KeyDir: keys, RootKeyDirs: []string{offline}}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Join(offline, RootRole.keyFile()), filepath.Join(keys, TargetsRole.keyFile()), filepath.Join(keys, OnlineRole.keyFile())} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v", p, info.Mode())
		}
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(filepath.Join(keys, OnlineRole.keyFile()), 0o640); err != nil {
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
	r, err := Init(t.Context(), dir, InitOptions{App: "hello", Passphrase: []byte("correct horse")})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.KeyDir(), RootRole.keyFile()))
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
		if _, err := ParseKey([]byte(text), []byte("x")); !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrPassphrase) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

// Several people hold a root key each; two of them change the root.
func TestInitWithSeveralRootKeys(t *testing.T) {
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	r, err := Init(t.Context(), at("feed"), InitOptions{
		App: "hello", KeyDir: at("k"), RootKeyDirs: []string{at("a"), at("b"), at("c")}, RootThreshold: 2,
		PassphraseFor: func(r Role, path string) ([]byte, error) {
			return []byte("of " + filepath.Base(filepath.Dir(path))), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	root := r.trusted.Root.Signed.Roles["root"]
	if root.Threshold != 2 || len(root.KeyIDs) != 3 {
		t.Errorf("root role %+v", root)
	}
	if _, err := LoadKey(filepath.Join(at("b"), "root.key"), []byte("of b")); err != nil {
		t.Error(err)
	}
	if _, err := LoadKey(filepath.Join(at("b"), "root.key"), []byte("of a")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("by another one's passphrase: %v", err)
	}
}

// Root and online key do not lie together in plain text, whichever way they are named.
func TestRootKeyStaysApart(t *testing.T) {
	for name, tc := range map[string]struct {
		o    func(at func(string) string, key func(path, passphrase string) Signer) InitOptions
		want error
	}{
		"both made": {func(at func(string) string, _ func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k")}
		}, ErrPlaintextKeys},
		"root made below": {func(at func(string) string, _ func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), RootKeyDirs: []string{at("k/offline")}}
		}, ErrPlaintextKeys},
		"one root of two made there": {func(at func(string) string, _ func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), RootKeyDirs: []string{at("x"), at("k")}}
		}, ErrPlaintextKeys},
		"root named, online made": {func(at func(string) string, key func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), Keys: Keys{Root: []Signer{key(at("k/mine.pem"), "")}}}
		}, ErrPlaintextKeys},
		"root made, online named": {func(at func(string) string, key func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), RootKeyDirs: []string{at("x")}, Keys: Keys{Online: []Signer{key(at("x/o.pem"), "")}}}
		}, ErrPlaintextKeys},
		"both named": {func(at func(string) string, key func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), Keys: Keys{Root: []Signer{key(at("x/r.pem"), "")}, Online: []Signer{key(at("x/o.pem"), "sealed")}}}
		}, ErrPlaintextKeys},
		"one key for both": {func(at func(string) string, key func(string, string) Signer) InitOptions {
			k := key(at("x/r.pem"), "sealed")
			return InitOptions{KeyDir: at("k"), Keys: Keys{Root: []Signer{k}, Online: []Signer{k}}}
		}, ErrLockout},
		"one key twice": {func(at func(string) string, key func(string, string) Signer) InitOptions {
			k := key(at("x/r.pem"), "sealed")
			return InitOptions{KeyDir: at("k"), Keys: Keys{Root: []Signer{k, k}}}
		}, ErrLockout},
		"a threshold that cannot be reached": {func(at func(string) string, _ func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), RootKeyDirs: []string{at("a"), at("b")}, RootThreshold: 3}
		}, ErrLockout},
		"no threshold": {func(at func(string) string, _ func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), RootKeyDirs: []string{at("a"), at("b")}, RootThreshold: -1}
		}, ErrLockout},
		"root encrypted": {func(at func(string) string, key func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), Keys: Keys{Root: []Signer{key(at("k/mine.pem"), "sealed")}}}
		}, nil},
		"root apart": {func(at func(string) string, _ func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), RootKeyDirs: []string{at("x")}}
		}, nil},
		"online in no file": {func(at func(string) string, key func(string, string) Signer) InitOptions {
			return InitOptions{KeyDir: at("k"), RootKeyDirs: []string{at("k")}, Keys: Keys{Online: []Signer{elsewhere{stranger(t)[0]}}}}
		}, nil},
	} {
		base := t.TempDir()
		at := func(name string) string { return filepath.Join(base, filepath.FromSlash(name)) }
		key := func(path, passphrase string) Signer {
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			k, err := CreateKey(path, []byte(passphrase))
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		o := tc.o(at, key)
		o.App = "hello"
		before := treeOf(t, base)
		_, err := Init(t.Context(), at("feed"), o)
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		if after := treeOf(t, base); err != nil && after != before {
			t.Errorf("%s: left traces:\n%s", name, after)
		}
	}
}

// elsewhere is a signer whose key is in no file.
type elsewhere struct{ Signer }
