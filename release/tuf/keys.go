package tuf

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// The key files. online signs snapshot and timestamp.
const (
	rootKeyFile    = "root.key"
	targetsKeyFile = "targets.key"
	onlineKeyFile  = "online.key"
	rootCopyFile   = "root.json"
)

// Key files are PEM: PKCS#8, or PKCS#8 sealed by scrypt and NaCl secretbox in the form that sigstore's tools read too.
const (
	plainBlock  = "PRIVATE KEY"
	sealedBlock = "ENCRYPTED SIGSTORE PRIVATE KEY"
	maxKeyFile  = 16 << 10
)

// key is one signing key.
type key struct {
	signer signature.Signer
	public *metadata.Key
}

func newKey(priv ed25519.PrivateKey) (*key, error) {
	signer, err := signature.LoadED25519Signer(priv)
	if err != nil {
		return nil, err
	}
	public, err := metadata.KeyFromPublicKey(priv.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return &key{signer: signer, public: public}, nil
}

// createKey makes a key and writes it to path, which must not exist.
func createKey(path string, passphrase []byte) (*key, error) {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
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
	return newKey(priv)
}

// loadKey reads a key file; ErrNoKey if there is none.
func loadKey(path string, passphrase []byte) (*key, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrNoKey)
	}
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("read key %s: %d bytes: %w", path, info.Size(), ErrMalformed)
	}
	if err := checkPrivate(info); err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	priv, err := parseKey(text, passphrase)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	return newKey(priv)
}

func parseKey(text, passphrase []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("no PEM block: %w", ErrMalformed)
	}
	der := block.Bytes
	switch block.Type {
	case plainBlock:
	case sealedBlock:
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
	priv, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("not an ed25519 key: %w", ErrMalformed)
	}
	return priv, nil
}

// keyring is what the publisher holds. Each may be nil.
type keyring struct {
	targets, online *key
}

// loadKeyring reads the keys for daily use; those that are not there stay nil. The root key is not among them: nothing that
// this package does after Init needs it.
func loadKeyring(dir string, passphrase []byte) (keyring, error) {
	var k keyring
	for name, to := range map[string]**key{targetsKeyFile: &k.targets, onlineKeyFile: &k.online} {
		loaded, err := loadKey(filepath.Join(dir, name), passphrase)
		if err != nil && !errors.Is(err, ErrNoKey) {
			return keyring{}, err
		}
		*to = loaded
	}
	return k, nil
}

// sign replaces the signatures of m by one of k.
func sign[T metadata.Roles](m *metadata.Metadata[T], k *key) ([]byte, error) {
	m.ClearSignatures()
	if _, err := m.Sign(k.signer); err != nil {
		return nil, err
	}
	return m.ToBytes(false)
}
