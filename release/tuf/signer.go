package tuf

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Signer has an Ed25519 key, or reaches one that never leaves its place: a secret manager, a hardware token.
type Signer interface {
	PublicKey() ed25519.PublicKey
	// Sign returns the 64 bytes of the signature of message. What it returns is verified before it is used.
	Sign(ctx context.Context, message []byte) ([]byte, error)
}

// Key is a Signer whose private key is in memory.
type Key struct {
	private ed25519.PrivateKey
	path    string // "" if it is in no file
	sealed  bool
}

// PublicKey returns the public half.
func (k *Key) PublicKey() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Sign signs message; it fails never.
func (k *Key) Sign(_ context.Context, message []byte) ([]byte, error) {
	return ed25519.Sign(k.private, message), nil
}

// KeyID is the name of a key in the metadata: 64 hexadecimal digits, of which the first ones are enough for people.
func KeyID(public ed25519.PublicKey) (string, error) {
	k, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return "", err
	}
	return k.ID()
}

// Key files are PEM: PKCS#8, or PKCS#8 sealed by scrypt and NaCl secretbox in the form that sigstore's tools read too.
const (
	plainBlock  = "PRIVATE KEY"
	sealedBlock = "ENCRYPTED SIGSTORE PRIVATE KEY"
	publicBlock = "PUBLIC KEY"
	maxKeyFile  = 16 << 10
)

// CreateKey makes a key and writes it to path, which must not exist, with mode 0600. Without a passphrase it is in plain text.
func CreateKey(path string, passphrase []byte) (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	block := &pem.Block{Type: plainBlock, Bytes: der}
	if len(passphrase) > 0 {
		sealed, err := encrypted.Encrypt(der, passphrase)
		if err != nil {
			return nil, fmt.Errorf("encrypt %s: %w", path, err)
		}
		block = &pem.Block{Type: sealedBlock, Bytes: sealed}
	}
	if err := createFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return &Key{private: private, path: path, sealed: len(passphrase) > 0}, nil
}

// LoadKey reads a key file. It fails with ErrNoKey if there is none, with ErrPassphrase if it is encrypted with another passphrase or
// with one at all, and if others may read the file.
func LoadKey(path string, passphrase []byte) (*Key, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoKey)
	}
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(info); err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	text, err := readCapped(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	k, err := ParseKey(text, passphrase)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	k.path = path
	return k, nil
}

// ParseKey reads the text of a key file: an Ed25519 key in PKCS#8, plain or encrypted, as PEM. Its errors hold nothing of the text.
func ParseKey(text, passphrase []byte) (*Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("no PEM block: %w", ErrMalformed)
	}
	k := &Key{}
	der := block.Bytes
	switch block.Type {
	case plainBlock:
	case sealedBlock:
		k.sealed = true
		if len(passphrase) == 0 {
			return nil, fmt.Errorf("encrypted: %w", ErrPassphrase)
		}
		var err error
		if der, err = encrypted.Decrypt(block.Bytes, passphrase); err != nil {
			return nil, fmt.Errorf("decrypt: %w: %w", ErrPassphrase, err)
		}
	default:
		return nil, fmt.Errorf("PEM block %.40q: %w", block.Type, ErrMalformed)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	var ok bool
	if k.private, ok = parsed.(ed25519.PrivateKey); !ok {
		return nil, fmt.Errorf("not an ed25519 key: %w", ErrMalformed)
	}
	return k, nil
}

// MarshalPublicKey writes a public key as PEM.
func MarshalPublicKey(public ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

// ParsePublicKey reads an Ed25519 public key: PEM, or the 32 bytes in hexadecimal or base64.
func ParsePublicKey(text []byte) (ed25519.PublicKey, error) {
	if block, _ := pem.Decode(text); block != nil {
		if block.Type != publicBlock {
			return nil, fmt.Errorf("PEM block %.40q is no public key: %w", block.Type, ErrMalformed)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("public key: %w: %w", ErrMalformed, err)
		}
		public, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("not an ed25519 key: %w", ErrMalformed)
		}
		return public, nil
	}
	raw, ok := decodeBytes(strings.TrimSpace(string(text)), ed25519.PublicKeySize)
	if !ok {
		return nil, fmt.Errorf("no public key in PEM, hexadecimal or base64: %w", ErrMalformed)
	}
	return raw, nil
}

// ParseSignature reads an Ed25519 signature as tools write it: the 64 bytes themselves, or in hexadecimal or base64.
func ParseSignature(b []byte) ([]byte, error) {
	if len(b) == ed25519.SignatureSize {
		return b, nil
	}
	raw, ok := decodeBytes(strings.TrimSpace(string(b)), ed25519.SignatureSize)
	if !ok {
		return nil, fmt.Errorf("%d bytes are no signature, raw, in hexadecimal or base64: %w", len(b), ErrMalformed)
	}
	return raw, nil
}

// decodeBytes reads size bytes in hexadecimal or one of the forms of base64, which never have the same length.
func decodeBytes(s string, size int) ([]byte, bool) {
	if len(s) == hex.EncodedLen(size) {
		b, err := hex.DecodeString(s)
		return b, err == nil
	}
	s = strings.NewReplacer("-", "+", "_", "/", "\n", "", "\r", "").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawStdEncoding.DecodeString(s)
	return b, err == nil && len(b) == size
}
