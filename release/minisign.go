package release

import (
	"errors"
	"io"
)

var (
	// ErrBadSignature says that a minisign signature is malformed, of an unaccepted kind, or does not verify.
	ErrBadSignature = errors.New("bad minisign signature")
	// ErrBadComment says that a signature verifies and its trusted comment is not what it must be.
	ErrBadComment = errors.New("bad trusted comment")
)

// TrustedComment is what a signature says about its file.
type TrustedComment struct {
	App      string
	Version  Version
	Platform Platform
	SHA256   Digest
}

// ParseTrustedComment reads "app:NAME version:V platform:os/arch sha256:HEX".
func ParseTrustedComment(s string) (TrustedComment, error) { panic("unwritten") }

// String is the form that ParseTrustedComment reads.
func (c TrustedComment) String() string { panic("unwritten") }

// AuthenticateComment verifies the signature's own comment with the public key, without the file.
func AuthenticateComment(publicKey string, signature []byte) (TrustedComment, error) {
	panic("unwritten")
}

// VerifyMinisign reads file to its end and verifies it, its digest included.
func VerifyMinisign(publicKey string, signature []byte, file io.Reader) (TrustedComment, error) {
	panic("unwritten")
}

// SignMinisign signs file. The comment's SHA256 is filled in; its other fields must be set. privateKey is minisign's own
// text, decrypted with password if it is encrypted.
func SignMinisign(privateKey, password string, file io.Reader, c TrustedComment) ([]byte, error) {
	panic("unwritten")
}
