package release

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"aead.dev/minisign"
)

var (
	// ErrBadSignature says that a minisign signature is malformed, of an unaccepted kind, or does not verify.
	ErrBadSignature = errors.New("bad minisign signature")
	// ErrBadComment says that a trusted comment is signed for and yet not what it must be.
	ErrBadComment = errors.New("bad trusted comment")
)

// MaxSignatureSize is the largest signature file, in bytes, that is looked at.
const MaxSignatureSize = 4096

// AuthenticateComment verifies the signature's own comment with the public key, without the file: minisign signs
// signature and comment together once more. A watcher can so decide on version and digest before it reads the file.
// The file is not vouched for until VerifyMinisign has read it.
func AuthenticateComment(publicKey string, signature []byte) (TrustedComment, error) {
	_, sig, err := openSignature(publicKey, signature)
	if err != nil {
		return TrustedComment{}, err
	}
	return ParseTrustedComment(sig.TrustedComment)
}

// VerifyMinisign reads file to its end, in pieces, and returns what its signature says about it. The comment is parsed after
// its signature was verified, and its sha256 must be the file's.
func VerifyMinisign(publicKey string, signature []byte, file io.Reader) (TrustedComment, error) {
	comment, d, err := verify(publicKey, signature, file)
	if err != nil {
		return TrustedComment{}, err
	}
	c, err := ParseTrustedComment(comment)
	if err == nil {
		err = names(c.SHA256, d)
	}
	if err != nil {
		return TrustedComment{}, err
	}
	return c, nil
}

// VerifyChecksums is VerifyMinisign for a file of checksums.
func VerifyChecksums(publicKey string, signature []byte, file io.Reader) (ChecksumsComment, error) {
	comment, d, err := verify(publicKey, signature, file)
	if err != nil {
		return ChecksumsComment{}, err
	}
	c, err := ParseChecksumsComment(comment)
	if err == nil {
		err = names(c.SHA256, d)
	}
	if err != nil {
		return ChecksumsComment{}, err
	}
	return c, nil
}

// verify returns the comment, which is signed for but not parsed, and the file's digest.
func verify(publicKey string, signature []byte, file io.Reader) (comment string, d Digest, err error) {
	pub, sig, err := openSignature(publicKey, signature)
	if err != nil {
		return "", d, err
	}
	h := sha256.New()
	r := minisign.NewReader(file)
	if _, err := io.Copy(h, r); err != nil {
		return "", d, fmt.Errorf("read the signed file: %w", err)
	}
	if !r.Verify(pub, signature) {
		return "", d, fmt.Errorf("%w: not of these bytes", ErrBadSignature)
	}
	return sig.TrustedComment, Digest(h.Sum(nil)), nil
}

func names(said, is Digest) error {
	if said != is {
		return fmt.Errorf("%w: it names sha256 %s, the file has %s", ErrBadComment, said, is)
	}
	return nil
}

// MinisignKeyID returns the ID of a public key in hexadecimal, as signatures name it and minisign shows it; "" if it is no key.
func MinisignKeyID(publicKey string) string {
	var pub minisign.PublicKey
	if pub.UnmarshalText([]byte(publicKey)) != nil {
		return ""
	}
	return fmt.Sprintf("%016X", pub.ID())
}

// openSignature parses key and signature and verifies the signature over signature and comment (minisign's "global
// signature"). It refuses the legacy kind that signs the file itself: that needs the whole file in memory.
func openSignature(publicKey string, signature []byte) (minisign.PublicKey, *minisign.Signature, error) {
	var pub minisign.PublicKey
	if len(publicKey) > MaxSignatureSize {
		return pub, nil, fmt.Errorf("parse minisign public key: %d bytes", len(publicKey))
	}
	if err := pub.UnmarshalText([]byte(publicKey)); err != nil {
		return pub, nil, fmt.Errorf("parse minisign public key: %w", err)
	}
	var sig minisign.Signature
	if len(signature) > MaxSignatureSize {
		return pub, nil, fmt.Errorf("%w: %d bytes, more than %d", ErrBadSignature, len(signature), MaxSignatureSize)
	}
	if err := sig.UnmarshalText(signature); err != nil {
		return pub, nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	if sig.Algorithm != minisign.HashEdDSA {
		return pub, nil, fmt.Errorf("%w: of the legacy kind, not prehashed; sign again with minisign -H", ErrBadSignature)
	}
	if sig.KeyID != pub.ID() {
		return pub, nil, fmt.Errorf("%w: by key %016X, not %016X", ErrBadSignature, sig.KeyID, pub.ID())
	}
	raw, err := rawKey(pub)
	if err != nil {
		return pub, nil, err
	}
	if !ed25519.Verify(raw, append(sig.Signature[:], sig.TrustedComment...), sig.CommentSignature[:]) {
		return pub, nil, fmt.Errorf("%w: the comment is not signed by key %016X", ErrBadSignature, pub.ID())
	}
	return pub, &sig, nil
}

// rawKey takes the Ed25519 key out of its text: two bytes algorithm, eight bytes key id, the key.
func rawKey(pub minisign.PublicKey) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(pub.String())
	if err != nil || len(b) != 10+ed25519.PublicKeySize {
		return nil, fmt.Errorf("parse minisign public key: %d bytes", len(b))
	}
	return ed25519.PublicKey(b[10:]), nil
}

// SignMinisign reads file to its end and signs it, prehashed. The comment's SHA256 is filled in; its other fields must be
// set. privateKey is minisign's own text; password decrypts it if it is encrypted.
func SignMinisign(privateKey, password string, file io.Reader, c TrustedComment) ([]byte, error) {
	return sign(privateKey, password, file, func(d Digest) (string, error) {
		c.SHA256 = d
		_, err := ParseTrustedComment(c.String())
		return c.String(), err
	})
}

// SignChecksums is SignMinisign for a file of checksums.
func SignChecksums(privateKey, password string, file io.Reader, c ChecksumsComment) ([]byte, error) {
	return sign(privateKey, password, file, func(d Digest) (string, error) {
		c.SHA256 = d
		_, err := ParseChecksumsComment(c.String())
		return c.String(), err
	})
}

func sign(privateKey, password string, file io.Reader, comment func(Digest) (string, error)) ([]byte, error) {
	key, err := parsePrivateKey(privateKey, password)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	r := minisign.NewReader(file)
	if _, err := io.Copy(h, r); err != nil {
		return nil, fmt.Errorf("read the file to sign: %w", err)
	}
	c, err := comment(Digest(h.Sum(nil)))
	if err != nil {
		return nil, err
	}
	return r.SignWithComments(key, c, fmt.Sprintf("signature from minisign key %016X", key.ID())), nil
}

func parsePrivateKey(text, password string) (minisign.PrivateKey, error) {
	var key minisign.PrivateKey
	var err error
	if minisign.IsEncrypted([]byte(text)) {
		key, err = minisign.DecryptKey(password, []byte(text))
	} else {
		err = key.UnmarshalText([]byte(text))
	}
	if err != nil {
		return key, fmt.Errorf("open minisign key: %w", err)
	}
	return key, nil
}

// GenerateMinisign makes a key pair, both as minisign's own text; the private key is encrypted if password is not "".
func GenerateMinisign(password string) (publicKey, privateKey string, err error) {
	pub, priv, err := minisign.GenerateKey(nil)
	if err != nil {
		return "", "", err
	}
	text, err := priv.MarshalText()
	if password != "" {
		text, err = minisign.EncryptKey(password, priv)
	}
	if err != nil {
		return "", "", fmt.Errorf("write minisign key: %w", err)
	}
	pubText, err := pub.MarshalText()
	if err != nil {
		return "", "", fmt.Errorf("write minisign key: %w", err)
	}
	return string(pubText) + "\n", string(text) + "\n", nil
}
