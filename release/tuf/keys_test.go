package tuf

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParsePublicKey(t *testing.T) {
	public := stranger(t)[0].PublicKey()
	pem, err := MarshalPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		string(pem), hex.EncodeToString(public) + "\n", base64.StdEncoding.EncodeToString(public), base64.RawURLEncoding.EncodeToString(public),
	} {
		if got, err := ParsePublicKey([]byte(text)); err != nil || !got.Equal(public) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "hello", strings.Repeat("0", 63), strings.Repeat("z", 64), "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if got, err := ParsePublicKey([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	private, err := os.ReadFile(stranger(t)[0].(*Key).path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePublicKey(private); !errors.Is(err, ErrMalformed) || strings.Contains(err.Error(), strings.Fields(string(private))[3]) {
		t.Errorf("a private key for a public one: %v", err)
	}
}

func TestParseSignature(t *testing.T) {
	raw := make([]byte, ed25519.SignatureSize)
	for i := range raw {
		raw[i] = byte(i) * 5
	}
	for _, text := range []string{string(raw), hex.EncodeToString(raw) + "\n", base64.StdEncoding.EncodeToString(raw) + "\r\n", base64.URLEncoding.EncodeToString(raw)} {
		if got, err := ParseSignature([]byte(text)); err != nil || string(got) != string(raw) {
			t.Errorf("%q: %x, %v", text, got, err)
		}
	}
	for _, text := range []string{"", string(raw[:63]), string(raw) + "x", strings.Repeat("x", 128)} {
		if _, err := ParseSignature([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// liar signs something else than it is asked to.
type liar struct{ Signer }

func (l liar) Sign(ctx context.Context, message []byte) ([]byte, error) {
	return l.Signer.Sign(ctx, append(message, '!'))
}

// A signer is believed no more than a file: what it signs is verified before it is published.
func TestSignersAreVerified(t *testing.T) {
	f := newFeed(t)
	if err := f.repo.Refresh(t.Context()); err != nil { // makes the lock file
		t.Fatal(err)
	}
	before := treeOf(t, f.repo.dir)
	good := f.repo.keys.Online
	f.repo.keys.Online = []Signer{liar{good[0]}}
	if err := f.repo.Refresh(t.Context()); !errors.Is(err, ErrBadSignature) {
		t.Errorf("signed by a liar: %v", err)
	}
	f.repo.keys.Online = stranger(t)
	if err := f.repo.Refresh(t.Context()); !errors.Is(err, ErrNoKey) {
		t.Errorf("signed by a stranger: %v", err)
	}
	if after := treeOf(t, f.repo.dir); after != before {
		t.Errorf("left traces:\n%s", after)
	}
	f.repo.keys.Online = append(stranger(t), good...)
	if err := f.repo.Refresh(t.Context()); err != nil {
		t.Errorf("a stranger beside the right one: %v", err)
	}
}

// Keys that are given count instead of files; a directory may hold several of a role.
func TestWhereKeysLie(t *testing.T) {
	f := newFeed(t)
	dir, keyDir := f.repo.dir, f.repo.keyDir
	files, err := KeyFiles(keyDir, OnlineRole)
	if err != nil || len(files) != 1 {
		t.Fatalf("KeyFiles = %q, %v", files, err)
	}
	online, err := LoadKey(files[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	open := func(o OpenOptions) error {
		r, err := Open(dir, o)
		if err != nil {
			return err
		}
		return r.Refresh(t.Context())
	}
	if err := open(OpenOptions{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("without it: %v", err)
	}
	if err := open(OpenOptions{Keys: Keys{Online: []Signer{online}}}); err != nil {
		t.Errorf("given: %v", err)
	}
	if _, err := CreateKey(filepath.Join(keyDir, "online.key"), nil); err != nil {
		t.Fatal(err)
	}
	if err := open(OpenOptions{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("another one: %v", err)
	}
	if err := os.WriteFile(filepath.Join(keyDir, "online-2.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(OpenOptions{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("an empty second one: %v", err)
	}
	if err := os.Rename(files[0], filepath.Join(keyDir, "unused.key")); err != nil {
		t.Fatal(err)
	}
	if files, err := KeyFiles(filepath.Join(keyDir, "none"), RootRole); err != nil || len(files) != 0 {
		t.Errorf("KeyFiles of no directory = %q, %v", files, err)
	}
}

// FuzzParseKey: files of keys, signatures and public keys are read in several forms; none is read as another thing than it is.
func FuzzParseKey(f *testing.F) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	text, err := MarshalPublicKey(public)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(pem.EncodeToMemory(&pem.Block{Type: plainBlock, Bytes: der}))
	f.Add([]byte(hex.EncodeToString(public)))
	f.Add([]byte(base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, nil))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := ParseKey(b, nil); err == nil && len(k.private) != ed25519.PrivateKeySize || err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrPassphrase) {
			t.Errorf("key: %v", err)
		}
		if s, err := ParseSignature(b); err == nil && len(s) != ed25519.SignatureSize || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("signature of %d bytes, %v", len(s), err)
		}
		p, err := ParsePublicKey(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("public key: %v", err)
			}
			return
		}
		again, err := MarshalPublicKey(p)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := ParsePublicKey(again); err != nil || !q.Equal(p) {
			t.Errorf("public key %x, written and read: %x, %v", p, q, err)
		}
	})
}
